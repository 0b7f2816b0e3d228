package ringrail;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.shuffle.BlockFetchingListener;
import org.apache.spark.network.shuffle.ExternalBlockStoreClient;

/**
 * Measures a shuffle service with Spark's own block fetcher, as a reducer uses it: each request is
 * for the blocks that all {@code maps=} map tasks have for one of {@code reduces=} reducers, of
 * {@code size=} bytes each, with {@code in_flight=} requests at a time. What arrives within {@code
 * seconds=} after {@code warm_up=} counts. Every block's length is checked, and its content in a few
 * places.
 */
final class BlockLoad {
  private static final long PATIENCE_S = 60;

  void addTo(Lines lines) {
    lines.add("load_blocks", this::run);
  }

  private Map<String, Object> run(Arguments arguments) throws Exception {
    ExternalBlockStoreClient client =
        new ExternalBlockStoreClient(
            Secrets.conf(arguments), Secrets.holder(arguments), false, 5000);
    client.init(arguments.get("app"));
    try {
      return new Reducers(client, arguments).run();
    } finally {
      client.close();
    }
  }

  private static final class Reducers {
    private final ExternalBlockStoreClient client;
    private final Arguments arguments;
    private final int maps;
    private final int reduces;
    private final int size;
    private final Semaphore room;
    private final AtomicLong bytes = new AtomicLong();
    private final AtomicReference<Throwable> wrong = new AtomicReference<>();

    Reducers(ExternalBlockStoreClient client, Arguments arguments) {
      this.client = client;
      this.arguments = arguments;
      maps = arguments.small("maps");
      reduces = arguments.small("reduces");
      size = arguments.small("size");
      room = new Semaphore(arguments.small("in_flight"));
    }

    Map<String, Object> run() throws Exception {
      OperatingSystemMXBean system =
          (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      int reduce = fetchFor(Double.parseDouble(arguments.get("warm_up")), 0);
      long cpu = system.getProcessCpuTime();
      long before = bytes.get();
      long from = System.nanoTime();
      fetchFor(Double.parseDouble(arguments.get("seconds")), reduce);
      long counted = bytes.get() - before;
      double elapsed = (System.nanoTime() - from) / 1e9;
      cpu = system.getProcessCpuTime() - cpu;
      if (!room.tryAcquire(arguments.small("in_flight"), PATIENCE_S, TimeUnit.SECONDS)) {
        throw new IllegalStateException("blocks did not come");
      }
      if (wrong.get() != null) {
        throw new IllegalStateException(wrong.get());
      }
      return Json.of(
          "bytes", counted, "bytes_in_all", bytes.get(), "elapsed_s", elapsed, "cpu_s", cpu / 1e9);
    }

    /** Asks for reducer after reducer, from this one on; the next one. */
    private int fetchFor(double seconds, int first) throws Exception {
      long end = System.nanoTime() + (long) (seconds * 1e9);
      int reduce = first;
      while (System.nanoTime() < end && wrong.get() == null) {
        if (!room.tryAcquire(PATIENCE_S, TimeUnit.SECONDS)) {
          throw new IllegalStateException("blocks did not come");
        }
        fetch(reduce);
        reduce = (reduce + 1) % reduces;
      }
      return reduce;
    }

    private void fetch(int reduce) {
      String[] ids = new String[maps];
      for (int map = 0; map < maps; map++) {
        ids[map] = "shuffle_0_" + map + "_" + reduce;
      }
      AtomicInteger left = new AtomicInteger(maps);
      client.fetchBlocks(
          arguments.get("host", "127.0.0.1"),
          arguments.small("port"),
          arguments.get("exec"),
          ids,
          new BlockFetchingListener() {
            @Override
            public void onBlockFetchSuccess(String id, ManagedBuffer data) {
              check(id, data);
              done();
            }

            @Override
            public void onBlockFetchFailure(String id, Throwable error) {
              wrong.compareAndSet(null, error);
              done();
            }

            private void done() {
              if (left.decrementAndGet() == 0) {
                room.release();
              }
            }
          },
          null);
    }

    private void check(String id, ManagedBuffer data) {
      try {
        String[] numbers = id.split("_");
        long map = Long.parseLong(numbers[2]);
        long reduce = Long.parseLong(numbers[3]);
        long offset = (map * reduces + reduce) * size;
        if (data.size() != size || !Pattern.spotCheck(offset, data.nioByteBuffer(), offset)) {
          throw new IllegalStateException("a wrong block " + id);
        }
        bytes.addAndGet(size);
      } catch (Exception error) {
        wrong.compareAndSet(null, error);
      }
    }
  }
}
