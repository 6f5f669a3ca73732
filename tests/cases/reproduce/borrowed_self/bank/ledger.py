class Ledger:
    def __init__(self, connection):
        self._connection = connection
        self._rows = list(connection.rows())

    def balance(self, account, currency="EUR"):
        rows = [row for row in self._rows if row[0] == account]
        newest = max(row[1] for row in rows if row[3] == currency)
        return newest, sum(row[2] for row in rows)
