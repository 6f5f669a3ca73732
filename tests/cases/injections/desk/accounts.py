"""Who may do what."""

ROLES = {"ann": "owner", "bob": "agent"}
RIGHTS = {"owner": {"read", "write", "refund"}, "agent": {"read", "write"}, "guest": {"read"}}


def may(name, action):
    """Say whether somebody may do something; guests may read."""
    role = ROLES[name]
    return action in RIGHTS[role]


def greeting(name):
    """Return how somebody is greeted."""
    return f"Dear {ROLES.get(name, 'guest')}"
