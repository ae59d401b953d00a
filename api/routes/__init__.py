"""One module per noun; each route is thin: read, ask the record, answer."""
