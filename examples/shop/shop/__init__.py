"""A small web shop for tea, kitchen things and books: an ASGI application over SQLite."""
