import json

from django.http import HttpResponse, JsonResponse
from django.urls import path


def lend(request):
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return JsonResponse({"fine": 100 // json.loads(request.body)["days"]})


def shelf(request, width):
    return JsonResponse({"books": 120 // width})


urlpatterns = [path("loans", lend), path("shelves/<int:width>", shelf)]
