"""`python -m deploy.image.health [PORT]`: exit code 0 where the process of this container is ready, else 1 and why.

For health checks of container engines, in an image that has no curl. It asks what Kubernetes asks over HTTP by itself.
"""

from __future__ import annotations

import http.client
import os
import sys

PORT_DEFAULT = "9464"
TIMEOUT_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    """Ask `/health/ready` on loopback; the port is the argument's, or SUBAK_HTTP_PORT's."""
    port = arguments[0] if arguments else os.environ.get("SUBAK_HTTP_PORT", PORT_DEFAULT)
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        text = answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"nothing answers on port {port}: {error}\n")
        return 1
    finally:
        connection.close()
    if answer.status != http.client.OK:
        sys.stderr.write(f"{text}\n")
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
