import unittest

from billsplit import format_cents, parse_cents


class Money(unittest.TestCase):
    def test_there_and_back(self) -> None:
        for text in ("0.00", "12.30", "-0.05", "1234.56"):
            self.assertEqual(format_cents(parse_cents(text)), text)

    def test_whole_amounts(self) -> None:
        self.assertEqual(parse_cents(" 12 "), 1200)

    def test_what_is_no_amount(self) -> None:
        for text in ("", "1.5", "1,50", "--1", "ten"):
            with self.subTest(text), self.assertRaises(ValueError):
                parse_cents(text)
