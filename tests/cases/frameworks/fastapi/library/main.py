from fastapi import FastAPI, HTTPException, Request, Response

app = FastAPI()


@app.post("/login")
def login(response: Response):
    response.set_cookie("user", "ann")
    return {}


@app.post("/loans")
async def lend(request: Request):
    if "user" not in request.cookies:
        raise HTTPException(401)
    return {"fine": 100 // (await request.json())["days"]}


@app.get("/shelves/{width}")
async def shelf(request: Request):
    return {"books": 120 // int(request.path_params["width"])}
