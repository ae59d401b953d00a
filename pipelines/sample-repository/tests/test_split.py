import unittest

from billsplit import split

BILLS = [
    (10_000, {"ann": 1, "bob": 1, "cleo": 1}),
    (10_000, {"ann": 2, "bob": 1}),
    (100, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1}),
    (101, {"ann": 5, "bob": 3, "cleo": 3}),
    (-1_000, {"ann": 1, "bob": 1, "cleo": 1}),
    (5, {"ann": 0, "bob": 1, "cleo": 1}),
]


class Split(unittest.TestCase):
    def test_even(self) -> None:
        self.assertEqual(split(900, {"ann": 1, "bob": 2}), {"ann": 300, "bob": 600})

    def test_nothing_to_split_by(self) -> None:
        for weights in ({}, {"ann": 0}, {"ann": 2, "bob": -1}):
            with self.subTest(weights), self.assertRaises(ValueError):
                split(100, weights)

    def test_shares_add_up_to_the_bill(self) -> None:
        for total, weights in BILLS:
            with self.subTest(total=total, weights=weights):
                self.assertEqual(sum(split(total, weights).values()), total)

    def test_nobody_is_off_by_a_whole_cent(self) -> None:
        for total, weights in BILLS:
            shares = split(total, weights)
            for name, weight in weights.items():
                with self.subTest(total=total, weights=weights, name=name):
                    exact = total * weight / sum(weights.values())
                    self.assertLess(abs(shares[name] - exact), 1)

    def test_the_largest_fraction_gets_the_cent(self) -> None:
        self.assertEqual(split(101, {"ann": 5, "bob": 3, "cleo": 3}), {"ann": 46, "bob": 28, "cleo": 27})
