"""The pods of `deploy/kubernetes` on two hosts, under load, while pods and whole hosts are killed.

`python -m tests.hosts`; `tests/integration/test_hosts.py` is a short run of the same. Hosts are
network namespaces: each pod has an address of its own, and a host can vanish without a word.
"""
