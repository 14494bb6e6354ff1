"""MYA-04 MYA-15: neither the answer nor its time tells whether an address is known here.

A thousand samples of each kind, in random order, must look as if drawn from one distribution: the
Mann-Whitney test (normal approximation) is to find nothing at one in a thousand. A second, rounder
question goes with it: the medians lie within 2 % of each other."""
import math
import os
import random
import statistics
import time
import unittest

import portal
from portal import PASSWORD

SAMPLES = int(os.environ.get("TROTH_TIMING_SAMPLES", "1000"))


def z_of(a, b):
    """How far two samples' ranks are apart, in standard deviations."""
    ranked = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    rank_sum = sum(i + 1 for i, (_, kind) in enumerate(ranked) if kind == 0)
    n, m = len(a), len(b)
    mean, deviation = n * (n + m + 1) / 2, math.sqrt(n * m * (n + m + 1) / 12)
    return abs(rank_sum - mean) / deviation


class Timing(portal.Case):
    @unittest.skipIf(portal.POSTGRES, "the same code; one run is enough")
    def setUp(self):
        self._portal = self.new_portal(binary=portal.RELEASE, postgres=False).start()
        self.portal.account("known@example.com")
        self.b = self.portal.browser()
        self.token = self.b.token("/sign-in")

    def sample(self, path, fields, address):
        began = time.perf_counter()
        r = self.b.post(path, {"email": address, **fields}, token=self.token)
        return time.perf_counter() - began, (r.status, r.location, len(r.body) - r.text.count(address) * len(address))

    def ask(self, path, fields):
        times, answers = {True: [], False: []}, {True: set(), False: set()}
        draw = random.Random(20261124)
        order = [True] * SAMPLES + [False] * SAMPLES
        draw.shuffle(order)
        for i in range(20):
            self.sample(path, fields, "known@example.com")
        for i, known in enumerate(order):
            # Nobody's addresses are as long as the known one, and each is new.
            address = "known@example.com" if known else f"{draw.getrandbits(20):05x}@example.com"[-17:]
            seconds, answer = self.sample(path, fields, address)
            times[known].append(seconds)
            answers[known].add(answer)
        self.assertEqual(answers[True], answers[False])
        z = z_of(times[True], times[False])
        medians = [statistics.median(times[k]) for k in (True, False)]
        print(f"# {path}: medians {medians[0] * 1e3:.3f} and {medians[1] * 1e3:.3f} ms, z = {z:.2f}", flush=True)
        return z, abs(medians[0] / medians[1] - 1)

    def equal(self, path, fields):
        """One run in a thousand finds a difference where there is none: it may be asked twice."""
        for _ in range(2):
            z, apart = self.ask(path, fields)
            if z < 3.29 and apart < 0.02:
                return
        self.fail(f"{path}: the time tells known addresses from others (z = {z:.1f}, medians {apart:.1%} apart)")

    def test_mya_14_sign_in(self):
        self.equal("/sign-in", {"password": "not the password", "next": ""})

    def test_mya_04_sign_up(self):
        self.equal("/sign-up", {"password": PASSWORD})

    def test_mya_15_recover(self):
        self.equal("/recover", {})

    def test_a_difference_would_be_found(self):
        """The counterpart: two kinds of which one takes 50 microseconds longer are told apart."""
        draw = random.Random(1)
        a = [draw.gauss(10e-3, 0.5e-3) for _ in range(1000)]
        b = [draw.gauss(10e-3, 0.5e-3) + 0.1e-3 for _ in range(1000)]
        self.assertGreater(z_of(a, b), 3.29)
        self.assertLess(z_of(a, [draw.gauss(10e-3, 0.5e-3) for _ in range(1000)]), 3.29)


if __name__ == "__main__":
    portal.main()
