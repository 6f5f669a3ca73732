"""Pictures that customers link to: we fetch them from our own hosts only."""

HOSTS = ("files.desk.example", "cdn.desk.example")
SECURE = "https"


def host_of(link):
    """Return the host that a picture is fetched from, None if it is none of ours."""
    scheme, rest = link.split("://")
    host = rest.split("/")[0]
    if scheme != SECURE or host not in HOSTS:
        return None
    return host
