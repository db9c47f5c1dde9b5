"""Where the app starts: `streamlit run app.py`.

Streamlit reads this file twice. The server imports it and finds `app`, which serves `/api` beside the pages and puts
the security headers around everything; each page view runs it as `__main__`.
"""

import streamlit as st

if __name__ == "__main__":
    from xcstore.ui import shell

    shell.run(shell.navigation())
else:
    from starlette.middleware import Middleware
    from starlette.routing import Mount
    from streamlit.runtime.pages_manager import PagesManager

    from xcstore.api import create_api
    from xcstore.ui import loading
    from xcstore.ui.security import SecurityHeaders

    # Until `st.navigation` is called for the first time, Streamlit runs files in a folder `pages` by themselves: the
    # first visitor of a process, at a deep link, would get a page without what surrounds it.
    PagesManager.uses_pages_directory = False

    # A mount, not routes: an unknown path beneath it must not bring the page with status 200.
    hosts = st.get_option("server.allowedHosts")
    api = Mount("/api", app=create_api(loading.settings, loading.named, hosts=hosts))
    app = st.App(__file__, routes=[api], middleware=[Middleware(SecurityHeaders)])
