"""The limit program: built and certified once, run as often as it is wanted."""

import os
import re
import socket
import subprocess

from processes import Failed, run

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Limit:
    def __init__(self, place):
        self.place, self.path, self.number = place, place.folder("limit"), 0
        self.program = f"{self.path}/limit"
        run(["gcc", "-O2", "-o", self.program, f"{HERE}/limit/limit.c", "-lssl", "-lcrypto", "-llmdb", "-lpthread"])
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run(["openssl", "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj",
             "/CN=limit-ca", "-addext", "basicConstraints=critical,CA:TRUE"], cwd=self.path)
        with open(f"{self.path}/extensions", "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
                       "keyUsage=digitalSignature\n")
        for name in ("central", "region"):
            run(["openssl", "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"],
                cwd=self.path)
            run(["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", "extensions"], cwd=self.path)

    def run(self, group, count, size, rate=0, under=None, environment=None):
        """One transfer in empty stores. `under`: the words of a tracer for an end (`send`, `recv`)."""
        self.number += 1
        port = free_port()
        stores = [f"{self.path}/{end}-{self.number}" for end in ("recv", "send")]
        own = {**os.environ, "CERTS": self.path}

        def begin(end, *words):
            extra = environment(end) if environment else {}
            return self.place.start(
                [*(under(end) if under else []), self.program, end, port, *words],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**own, **extra})

        receiver = begin("recv", stores[0], group)
        sender = begin("send", stores[1], group, count, size, rate)
        said = ""
        try:
            for process in (sender, receiver):
                said += process.stdout.read().decode()
                process.wait()
                if process.returncode != 0:
                    raise Failed(f"the limit program: {said[-300:]}")
        finally:
            for process in (sender, receiver):
                self.place.end(process)
            run(["rm", "-rf", *stores])
        return Limit._read(said, count)

    @staticmethod
    def _read(said, count):
        result = re.search(r"msgs/s=(\d+)", said)
        waits = re.search(r"submit->ack-back n=\d+ p50=([\d.]+)ms p90=([\d.]+)ms p99=([\d.]+)ms", said)
        stored = re.search(r"recv stored=(\d+)", said)
        if not result or not waits or not stored or int(stored[1]) != count:
            raise Failed(f"the limit program said: {said[-300:]}")
        cpu = sum(float(user) + float(system) for user, system in re.findall(r"user=([\d.]+)s sys=([\d.]+)s", said))
        return {
            "rate": float(result[1]), "cpu": cpu, "p50": float(waits[1]), "p90": float(waits[2]), "p99": float(waits[3]),
        }
