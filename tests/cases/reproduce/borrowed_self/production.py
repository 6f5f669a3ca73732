from bank.ledger import Ledger


class Connection:
    def rows(self):
        return [("ann", 1, 500, "EUR")]


Ledger(Connection()).balance("carol", "USD")
