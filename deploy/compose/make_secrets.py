"""`python3 deploy/compose/make_secrets.py`: the secrets of compose.yaml, made once, a file each; what is there stays.

Needs nothing but Python, since it runs before anything is installed. The folder is its owner's alone. The files in it
can be read by others who get there, for the processes in the containers have user ids of their own.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "secrets"


def make(folder: Path) -> list[Path]:
    """Write the files that are missing; returns them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: list[Path] = []

    def once(name: str, text: str) -> str:
        path = folder / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            made.append(path)
        return path.read_text(encoding="utf-8")

    password = once("postgresql_password", secrets.token_hex(24))
    once("casebook_settings", f'database_url = "postgresql+psycopg://subak:{password}@postgresql:5432/casebook"\n')
    once("adapter_token", secrets.token_urlsafe(24))
    once("grafana_password", secrets.token_urlsafe(24))
    return made


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if sys.argv[1:] else FOLDER):
        sys.stdout.write(f"made {path}\n")
