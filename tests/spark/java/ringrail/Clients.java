package ringrail;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.buffer.NioManagedBuffer;
import org.apache.spark.network.client.ChunkReceivedCallback;
import org.apache.spark.network.client.MergedBlockMetaResponseCallback;
import org.apache.spark.network.client.RpcResponseCallback;
import org.apache.spark.network.client.StreamCallback;
import org.apache.spark.network.client.TransportClient;
import org.apache.spark.network.server.NoOpRpcHandler;
import org.apache.spark.network.util.TransportConf;

/** Spark's TransportClient by command: one request of each kind, and many at once. */
final class Clients {
  /** How long an answer may take before the command says that there was none. */
  private static final long PATIENCE_S = 60;

  private final Map<String, TransportClient> clients = new ConcurrentHashMap<>();

  void addTo(Lines lines) {
    lines.add("connect", this::connect);
    lines.add("close", this::close);
    lines.add("active", a -> Json.of("active", client(a).isActive()));
    lines.add("rpc", this::rpc);
    lines.add("rpcs", this::rpcs);
    lines.add("oneway", this::oneWay);
    lines.add("chunk", this::chunk);
    lines.add("stream", this::stream);
    lines.add("upload", this::upload);
    lines.add("merged_meta", this::mergedMeta);
  }

  private TransportClient client(Arguments arguments) {
    TransportClient client = clients.get(arguments.get("name"));
    if (client == null) {
      throw new NoSuchElementException("no client " + arguments.get("name"));
    }
    return client;
  }

  private Map<String, Object> connect(Arguments arguments) throws Exception {
    TransportConf conf = Secrets.conf(arguments);
    TransportContext context = new TransportContext(conf, new NoOpRpcHandler());
    TransportClient client =
        context
            .createClientFactory(Secrets.ofClient(arguments, conf))
            .createUnmanagedClient(arguments.get("host", "127.0.0.1"), arguments.small("port"));
    clients.put(arguments.get("name"), client);
    return Json.of("peer", client.getSocketAddress());
  }

  private Map<String, Object> close(Arguments arguments) {
    client(arguments).close();
    clients.remove(arguments.get("name"));
    return Json.of();
  }

  /** The payload: {@code hex=}, {@code text=}, or {@code size=} bytes of the pattern from {@code seed=}. */
  private static ByteBuffer body(Arguments arguments) {
    if (arguments.has("hex")) {
      return ByteBuffer.wrap(Digest.unhex(arguments.get("hex")));
    }
    if (arguments.has("text")) {
      return ByteBuffer.wrap(arguments.get("text").getBytes(java.nio.charset.StandardCharsets.UTF_8));
    }
    return ByteBuffer.wrap(Pattern.bytes(arguments.number("seed", 0), arguments.small("size")));
  }

  private Map<String, Object> rpc(Arguments arguments) throws Exception {
    ByteBuffer body = body(arguments);
    if (arguments.has("timeout_ms")) {
      return Digest.of(client(arguments).sendRpcSync(body, arguments.number("timeout_ms"))).report();
    }
    Answer<Map<String, Object>> answer = new Answer<>();
    client(arguments).sendRpc(body, new Rpc(answer));
    return answer.await();
  }

  /** {@code count=} echoes of changing sizes below {@code size=}, {@code in_flight=} at a time. */
  private Map<String, Object> rpcs(Arguments arguments) throws Exception {
    TransportClient client = client(arguments);
    int count = arguments.small("count");
    int size = arguments.small("size");
    Semaphore room = new Semaphore(arguments.small("in_flight"));
    Tally tally = new Tally(count);
    for (int at = 0; at < count; at++) {
      room.acquire();
      byte[] sent = Pattern.bytes(at, (int) Long.remainderUnsigned(Pattern.word(at), size + 1));
      client.sendRpc(
          ByteBuffer.wrap(sent),
          new RpcResponseCallback() {
            @Override
            public void onSuccess(ByteBuffer response) {
              room.release();
              tally.count(response.equals(ByteBuffer.wrap(sent)) ? null : "another answer");
            }

            @Override
            public void onFailure(Throwable error) {
              room.release();
              tally.count(error.toString());
            }
          });
    }
    return tally.await(PATIENCE_S);
  }

  private Map<String, Object> oneWay(Arguments arguments) {
    client(arguments).send(body(arguments));
    return Json.of();
  }

  private Map<String, Object> chunk(Arguments arguments) throws Exception {
    Answer<Map<String, Object>> answer = new Answer<>();
    client(arguments)
        .fetchChunk(
            arguments.number("stream"),
            arguments.small("index"),
            new ChunkReceivedCallback() {
              @Override
              public void onSuccess(int index, ManagedBuffer buffer) {
                answer.from(
                    () -> {
                      Map<String, Object> report = Digest.of(buffer.nioByteBuffer()).report();
                      report.put("index", index);
                      return report;
                    });
              }

              @Override
              public void onFailure(int index, Throwable error) {
                answer.completeExceptionally(error);
              }
            });
    return answer.await();
  }

  private Map<String, Object> stream(Arguments arguments) throws Exception {
    Answer<Map<String, Object>> answer = new Answer<>();
    Digest digest = new Digest();
    client(arguments)
        .stream(
            arguments.get("stream"),
            new StreamCallback() {
              @Override
              public void onData(String streamId, ByteBuffer bytes) {
                digest.add(bytes);
              }

              @Override
              public void onComplete(String streamId) {
                answer.from(
                    () -> {
                      Map<String, Object> report = digest.report();
                      report.put("stream", streamId);
                      return report;
                    });
              }

              @Override
              public void onFailure(String streamId, Throwable error) {
                answer.completeExceptionally(error);
              }
            });
    return answer.await();
  }

  /** {@code meta=} as text, the body as of every request. */
  private Map<String, Object> upload(Arguments arguments) throws Exception {
    Answer<Map<String, Object>> answer = new Answer<>();
    byte[] meta = arguments.get("meta").getBytes(java.nio.charset.StandardCharsets.UTF_8);
    client(arguments)
        .uploadStream(
            new NioManagedBuffer(ByteBuffer.wrap(meta)),
            new NioManagedBuffer(body(arguments)),
            new Rpc(answer));
    return answer.await();
  }

  private Map<String, Object> mergedMeta(Arguments arguments) throws Exception {
    Answer<Map<String, Object>> answer = new Answer<>();
    client(arguments)
        .sendMergedBlockMetaReq(
            arguments.get("app"),
            arguments.small("shuffle"),
            arguments.small("merge"),
            arguments.small("reduce"),
            new MergedBlockMetaResponseCallback() {
              @Override
              public void onSuccess(int chunks, ManagedBuffer buffer) {
                answer.from(
                    () -> {
                      Map<String, Object> report = Digest.of(buffer.nioByteBuffer()).report();
                      report.put("chunks", chunks);
                      return report;
                    });
              }

              @Override
              public void onFailure(Throwable error) {
                answer.completeExceptionally(error);
              }
            });
    return answer.await();
  }

  /** An answer that a callback brings. */
  private static final class Answer<T> extends CompletableFuture<T> {
    interface Source<T> {
      T get() throws IOException;
    }

    void from(Source<T> source) {
      try {
        complete(source.get());
      } catch (Throwable error) {
        completeExceptionally(error);
      }
    }

    T await() throws Exception {
      try {
        return get(PATIENCE_S, TimeUnit.SECONDS);
      } catch (ExecutionException failed) {
        throw failed.getCause() instanceof Exception ? (Exception) failed.getCause() : failed;
      }
    }
  }

  private static final class Rpc implements RpcResponseCallback {
    private final Answer<Map<String, Object>> answer;

    Rpc(Answer<Map<String, Object>> answer) {
      this.answer = answer;
    }

    @Override
    public void onSuccess(ByteBuffer response) {
      answer.from(() -> Digest.of(response).report());
    }

    @Override
    public void onFailure(Throwable error) {
      answer.completeExceptionally(error);
    }
  }
}
