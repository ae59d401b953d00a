"""Who may ask, from where, and how much: keys, sessions, CSRF, hosts, login tries."""
