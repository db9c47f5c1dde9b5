"""Where the app starts: `streamlit run app.py`.

Streamlit reads this file twice. The server imports it and finds `app`, which puts the security headers around
everything; each page view runs it as `__main__`.
"""

import streamlit as st

if __name__ == "__main__":
    from xcstore.ui import shell

    shell.run(shell.navigation())
else:
    from starlette.middleware import Middleware
    from streamlit.runtime.pages_manager import PagesManager

    from xcstore.ui.security import SecurityHeaders

    # Until `st.navigation` is called for the first time, Streamlit runs files in a folder `pages` by themselves: the
    # first visitor of a process, at a deep link, would get a page without what surrounds it.
    PagesManager.uses_pages_directory = False

    app = st.App(__file__, middleware=[Middleware(SecurityHeaders)])
