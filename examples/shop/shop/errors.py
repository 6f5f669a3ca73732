"""The errors a customer can meet; `web` turns each into a JSON answer with its status.

ShopError
├── BadRequest    400   a field we cannot read
├── NotSignedIn   401   members only
├── NotFound      404   no such product, order or voucher
└── OutOfStock    409   somebody was faster
"""


class ShopError(Exception):
    """Something the customer can understand; `field` names what it is about."""

    status = 400

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class BadRequest(ShopError):
    """A field of the request that we cannot read."""


class NotSignedIn(ShopError):
    """The page is for members."""

    status = 401


class NotFound(ShopError):
    """There is no such thing."""

    status = 404


class OutOfStock(ShopError):
    """The shelf is empty."""

    status = 409
