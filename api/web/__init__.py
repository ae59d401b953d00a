"""The dashboard: server-rendered pages that work without JavaScript and come alive with it."""
