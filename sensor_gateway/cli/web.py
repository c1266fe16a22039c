"""`tiltline web`: the wearer's page from a store that a gateway writes or wrote; read-only."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from pathlib import Path
from typing import Final

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.study_file import study_of
from sensor_gateway.web.app import Access, create_app, serve
from sensor_gateway.web.tokens import load_tokens

NAME: Final = "web"
HELP: Final = "serve the wearer's page from a store"
STORE_FILE: Final = "store.db"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--config", type=Path, help="gateway file; its data folder, study and [web] settings are used")
    parser.add_argument("--store", type=Path, help=f"store file (default: {STORE_FILE} in the data folder)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8080; 0 takes a free one)")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; 1 where the store, the configuration or the address cannot be used."""
    base = args.config.parent if args.config else Path()
    try:
        settings = load_settings(args.config) if args.config else Settings()
        study = study_of(settings, base)
        path = args.store or base / settings.site.data_dir / STORE_FILE
        Store.open(path, readonly=True).close()  # say what is wrong now, not as an empty page later
        web = dataclasses.replace(
            settings.web,
            host=args.host or settings.web.host,
            port=settings.web.port if args.port is None else args.port,
        )
        settings, access = dataclasses.replace(settings, web=web), Access(load_tokens(web, base))
        app = create_app(path, None, settings, SystemClock(), study=study, access=access)
        tls = (base / web.certificate, base / web.key) if web.certificate else None
        asyncio.run(serve(app, web.host, web.port, lambda url: print(f"Open {url}  (Ctrl-C ends it)", flush=True), tls))
    except (ConfigError, StoreError, OSError) as e:
        print(f"tiltline web: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0
