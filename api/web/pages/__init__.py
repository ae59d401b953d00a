"""One module per page; each gathers what the page shows and hands it to its template."""
