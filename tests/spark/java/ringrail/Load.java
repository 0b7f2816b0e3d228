package ringrail;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.client.ChunkReceivedCallback;
import org.apache.spark.network.client.RpcResponseCallback;
import org.apache.spark.network.client.TransportClient;
import org.apache.spark.network.client.TransportClientFactory;
import org.apache.spark.network.server.NoOpRpcHandler;
import org.apache.spark.network.util.TransportConf;

/**
 * Measures a server with Spark's client: {@code conns=} connections with {@code in_flight=}
 * requests each, {@code warm_up=} seconds that do not count and {@code seconds=} that do.
 *
 * <p>{@code work=rpc}: {@code size=} bytes are echoed. {@code work=chunks}: chunks of {@code size=}
 * bytes out of a source of {@code source_len=}. The length of every answer is checked, and its
 * content in a few places; a wrong answer fails the run.
 */
final class Load {
  void addTo(Lines lines) {
    lines.add("load", this::run);
  }

  private Map<String, Object> run(Arguments arguments) throws Exception {
    TransportConf conf = Secrets.conf(arguments);
    try (TransportContext context = new TransportContext(conf, new NoOpRpcHandler());
        TransportClientFactory factory = context.createClientFactory()) {
      Window window = new Window(arguments);
      List<Connection> connections = new ArrayList<>();
      for (int at = 0; at < arguments.small("conns"); at++) {
        TransportClient client =
            factory.createUnmanagedClient(arguments.get("host", "127.0.0.1"), arguments.small("port"));
        connections.add(new Connection(client, arguments, window, at));
      }
      window.start();
      for (Connection connection : connections) {
        connection.start();
      }
      for (Connection connection : connections) {
        connection.done.get(60 + window.wholeSeconds(), TimeUnit.SECONDS);
      }
      return window.report(connections);
    }
  }

  /** What part of the run counts. */
  private static final class Window {
    private final long warmUpNs;
    private final long lengthNs;
    private final long size;
    private final OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private volatile long from;
    private volatile long to;
    private volatile long cpuAtStart = -1;
    private volatile long cpuAtEnd = -1;

    Window(Arguments arguments) {
      warmUpNs = (long) (Double.parseDouble(arguments.get("warm_up")) * 1e9);
      lengthNs = (long) (Double.parseDouble(arguments.get("seconds")) * 1e9);
      size = arguments.number("size");
    }

    long wholeSeconds() {
      return (warmUpNs + lengthNs) / 1_000_000_000L;
    }

    void start() {
      from = System.nanoTime() + warmUpNs;
      to = from + lengthNs;
    }

    /** Whether an answer at {@code now} counts; notes the process's CPU time at either end. */
    boolean counts(long now) {
      if (now < from) {
        return false;
      }
      if (cpuAtStart < 0) {
        cpuAtStart = system.getProcessCpuTime();
      }
      return now < to;
    }

    boolean isOver(long now) {
      if (now < to) {
        return false;
      }
      if (cpuAtEnd < 0) {
        cpuAtEnd = system.getProcessCpuTime();
      }
      return true;
    }

    Map<String, Object> report(List<Connection> connections) {
      Latencies all = new Latencies();
      long answered = 0;
      for (Connection connection : connections) {
        all.add(connection.latencies);
        answered += connection.answered;
      }
      return Json.of(
          "ops", all.count(),
          "bytes", all.count() * size,
          "ops_in_all", answered,
          "elapsed_s", lengthNs / 1e9,
          "cpu_s", (cpuAtEnd - cpuAtStart) / 1e9,
          "p50_us", all.quantile(0.5) / 1e3,
          "p99_us", all.quantile(0.99) / 1e3,
          "p999_us", all.quantile(0.999) / 1e3,
          "verified", true);
    }
  }

  /** One connection's requests. All but the first are sent by the thread that gets its answers. */
  private static final class Connection {
    final CompletableFuture<Void> done = new CompletableFuture<>();
    final Latencies latencies = new Latencies();
    long answered;
    private final TransportClient client;
    private final Window window;
    private final boolean chunks;
    private final int size;
    private final long sourceChunks;
    private final int inFlight;
    private final byte[] payload;
    private long next;
    private int outstanding;

    Connection(TransportClient client, Arguments arguments, Window window, int index) {
      this.client = client;
      this.window = window;
      chunks = arguments.get("work").equals("chunks");
      size = arguments.small("size");
      sourceChunks = chunks ? arguments.number("source_len") / size : 0;
      inFlight = arguments.small("in_flight");
      payload = chunks ? null : Pattern.bytes(0, size);
      next = (long) index << 40;
    }

    void start() {
      client
          .getChannel()
          .eventLoop()
          .execute(
              () -> {
                outstanding = inFlight;
                for (int at = 0; at < inFlight; at++) {
                  send();
                }
              });
    }

    private void send() {
      long id = next++;
      long sent = System.nanoTime();
      if (chunks) {
        client.fetchChunk(id, 0, new Chunk(id, sent));
      } else {
        client.sendRpc(ByteBuffer.wrap(payload), new Echo(sent));
      }
    }

    private void answered(long sent, boolean right) {
      long now = System.nanoTime();
      if (!right) {
        done.completeExceptionally(new IllegalStateException("a wrong answer"));
        return;
      }
      answered++;
      if (window.counts(now)) {
        latencies.record(now - sent);
      }
      if (!window.isOver(now)) {
        send();
      } else if (--outstanding == 0) {
        client.close();
        done.complete(null);
      }
    }

    private final class Echo implements RpcResponseCallback {
      private final long sent;

      Echo(long sent) {
        this.sent = sent;
      }

      @Override
      public void onSuccess(ByteBuffer response) {
        boolean right = response.remaining() == size && Pattern.spotCheck(0, response, sent);
        answered(sent, right);
      }

      @Override
      public void onFailure(Throwable error) {
        done.completeExceptionally(error);
      }
    }

    private final class Chunk implements ChunkReceivedCallback {
      private final long id;
      private final long sent;

      Chunk(long id, long sent) {
        this.id = id;
        this.sent = sent;
      }

      @Override
      public void onSuccess(int index, ManagedBuffer buffer) {
        try {
          ByteBuffer bytes = buffer.nioByteBuffer();
          long offset = Long.remainderUnsigned(id, sourceChunks) * size;
          answered(sent, bytes.remaining() == size && Pattern.spotCheck(offset, bytes, id));
        } catch (java.io.IOException error) {
          done.completeExceptionally(error);
        }
      }

      @Override
      public void onFailure(int index, Throwable error) {
        done.completeExceptionally(error);
      }
    }
  }
}
