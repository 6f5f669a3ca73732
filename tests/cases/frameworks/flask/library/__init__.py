from flask import Flask, abort, request, session


def create_app():
    app = Flask(__name__)
    app.secret_key = "not a secret"

    @app.post("/login")
    def login():
        session["user"] = request.json["user"]
        return {}

    app.add_url_rule("/loans", view_func=lend, methods=["POST"])
    app.add_url_rule("/shelves/<int:width>", view_func=shelf)
    return app


def lend():
    if "user" not in session:
        abort(401)
    return {"fine": 100 // request.json["days"]}


def shelf(width):
    return {"books": 120 // width}
