"""What administrators have beside the package: a real Prometheus, and Cockpit in a browser.

Runs in booted machines of each release: `make admin`. Not part of `make test`: the roots of these
machines have a browser, and take minutes to make. The pictures of Cockpit's page are in
.build/cockpit.
"""
