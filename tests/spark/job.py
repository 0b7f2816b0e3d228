"""A Spark application in steps, whose results are known without Spark.

    job.py '{"steps": [...], "records": N, "maps": N, "reduces": N, "conf": {...}}'

Every step shuffles N records, number i carrying the SHA-256 of its decimal digits, and prints one
line of JSON: per key (i modulo 16) the count, the sum of the numbers, the sum of the hashes' first
four bytes and the largest hash, and what its stages read ("before": until the executors were gone). The steps:

- sql: a DataFrame through an exchange, executors alive.
- batch: the same, with adaptive coalescing, so that reducers ask for ranges of partitions.
- remote: an RDD is shuffled, then all executors are gone; new ones read everything from the service.
- cached: an RDD is kept on the disks of two executors, then both are gone; one task reads all of it, what lies on
  its own host from the disk and the rest from the service. "computed" counts the records that were computed: of each
  that is read, none again.

"remote" and "cached" print {"mapped": true} when the executors that wrote the blocks are gone, and go on when they
get a line on stdin.
"""

import hashlib
import json
import sys
import time
import urllib.request

from pyspark import SparkConf, SparkContext, StorageLevel
from pyspark.sql import SparkSession

KEYS = 16
PATIENCE_S = 90
# How long a partition takes at least, so that all executors get some.
PARTITION_S = 0.4


def say(**values):
    print(json.dumps(values), flush=True)


def record(i):
    return (i, hashlib.sha256(str(i).encode()).hexdigest())


def add(sums, pair):
    i, digest = pair
    count, total, heads, largest = sums.get(i % KEYS, (0, 0, 0, ""))
    sums[i % KEYS] = (count + 1, total + i, heads + int(digest[:8], 16), max(largest, digest))
    return sums


def fold(pairs):
    sums = {}
    for pair in pairs:
        add(sums, pair)
    return list(sums.items())


def merged(parts):
    """Sums of partitions to sums of all, as rows."""
    sums = {}
    for key, (count, total, heads, largest) in parts:
        was = sums.get(key, (0, 0, 0, ""))
        sums[key] = (was[0] + count, was[1] + total, was[2] + heads, max(was[3], largest))
    return [[key, *sums[key]] for key in sorted(sums)]


class Application:
    def __init__(self, asked):
        self.asked = asked
        self.read_before = {}
        self.reading_since = 0
        self.computed = None
        conf = SparkConf().setAll(list(asked["conf"].items()))
        self.context = SparkContext(conf=conf)
        self.context.setLogLevel("WARN")
        self.session = SparkSession(self.context)
        self.seen = set()

    def executors(self):
        return self.context._jsc.sc().getExecutorIds().size()

    def stages(self):
        """What the stages since the last call read, and how they fared."""
        self.context._jsc.sc().listenerBus().waitUntilEmpty()
        url = f"{self.context.uiWebUrl}/api/v1/applications/{self.context.applicationId}/stages"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            stages = json.load(answer)
        fields = {
            "remote_bytes": "shuffleRemoteBytesRead",
            "local_bytes": "shuffleLocalBytesRead",
            "to_disk_bytes": "shuffleRemoteBytesReadToDisk",
            "merged_chunks": "shuffleMergedRemoteChunksFetched",
            "failed_tasks": "numFailedTasks",
        }
        sums = {name: 0 for name in fields}
        sums["stages"], sums["failed_stages"] = 0, 0
        for stage in stages:
            key = (stage["stageId"], stage["attemptId"])
            if stage["status"] not in ("COMPLETE", "FAILED") or key in self.seen:
                continue
            self.seen.add(key)
            sums["stages"] += 1
            sums["failed_stages"] += stage["status"] == "FAILED"
            for name, field in fields.items():
                sums[name] += stage[field]
        return sums

    def exchange(self, adaptive):
        set_conf = self.session.conf.set
        set_conf("spark.sql.adaptive.enabled", str(adaptive).lower())
        set_conf("spark.sql.shuffle.partitions", str(self.asked["reduces"]))
        rows = self.session.range(0, self.asked["records"], 1, self.asked["maps"])
        rows = rows.selectExpr("id", "sha2(cast(id as string), 256) as digest").repartition("id")
        sums = rows.groupBy((rows.id % KEYS).alias("key")).agg(
            {"*": "count", "id": "sum", "digest": "max"}
        )
        heads = rows.selectExpr(
            f"id % {KEYS} as key", "cast(conv(substr(digest, 1, 8), 16, 10) as long) as head"
        )
        heads = dict(heads.groupBy("key").sum("head").collect())
        columns = ["key", "count(1)", "sum(id)", "max(digest)"]
        rows = sums.select(*[f"`{column}`" for column in columns]).collect()
        return [[key, count, total, heads[key], largest] for key, count, total, largest in sorted(rows)]

    def sql(self):
        return self.exchange(adaptive=False)

    def batch(self):
        return self.exchange(adaptive=True)

    def remote(self):
        numbers = self.context.range(0, self.asked["records"], 1, self.asked["maps"])
        shuffled = numbers.map(record).partitionBy(self.asked["reduces"])
        # One reduce task makes all the map tasks run.
        counts = shuffled.mapPartitions(lambda pairs: [sum(1 for _ in pairs)])
        self.context.runJob(counts, list, [0])
        self.read_before = self.stages()
        self.wait_until_alone()
        return merged(shuffled.mapPartitions(fold).collect())

    def wait_until_alone(self):
        """Waits until all executors are gone, and for a line on stdin."""
        waited = time.time()
        while self.executors() > 0:
            if time.time() - waited > PATIENCE_S:
                raise TimeoutError(f"{self.executors()} executors are idle but do not go")
            time.sleep(0.1)
        say(mapped=True)
        sys.stdin.readline()
        self.reading_since = time.time()

    def wait_for_executors(self, count):
        """Keeps executors wanted until there are so many."""
        waited = time.time()
        while self.executors() < count:
            if time.time() - waited > PATIENCE_S:
                raise TimeoutError(f"{self.executors()} of {count} executors have come")
            self.context.parallelize(range(4), 4).foreach(lambda _: time.sleep(PARTITION_S))

    def cached(self):
        computed = self.context.accumulator(0)

        def compute(numbers):
            time.sleep(PARTITION_S)
            for i in numbers:
                computed.add(1)
                yield record(i)

        numbers = self.context.range(0, self.asked["records"], 1, self.asked["maps"])
        kept = numbers.mapPartitions(compute).persist(StorageLevel.DISK_ONLY)
        self.wait_for_executors(2)
        kept.count()
        self.read_before = self.stages()
        self.wait_until_alone()
        rows = merged(kept.coalesce(1).mapPartitions(fold).collect())
        self.computed = computed.value
        return rows

    def run(self):
        for step in self.asked["steps"]:
            started = time.time()
            rows = getattr(self, step)()
            seconds, reading = time.time() - started, time.time() - self.reading_since
            say(step=step, rows=rows, read={**self.stages(), "computed": self.computed},
                before=self.read_before, seconds=seconds, reading_seconds=reading)
            self.read_before = {}
        self.context.stop()


if __name__ == "__main__":
    Application(json.loads(sys.argv[1])).run()
