package ringrail;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.network.client.RpcResponseCallback;
import org.apache.spark.network.client.StreamCallbackWithID;
import org.apache.spark.network.client.TransportClient;
import org.apache.spark.network.server.RpcHandler;
import org.apache.spark.network.server.StreamManager;

/**
 * Echoes requests, but for some short texts: {@code !fail TEXT} fails, {@code !never} is not
 * answered, {@code !close} closes the connection, {@code !call} asks the caller first and answers
 * with what it said.
 *
 * <p>An upload is answered with its length and digest as text; with the meta {@code !refuse} it is
 * refused when it starts, with {@code !fail} when it has arrived.
 */
final class Handler extends RpcHandler {
  private static final int LONGEST_ORDER = 256;

  private final StreamManager content;
  private final Digest oneWays = new Digest();
  private final AtomicInteger oneWayCount = new AtomicInteger();

  Handler(StreamManager content) {
    this.content = content;
  }

  /** One-way messages so far: their count, and the digest of all of them in order. */
  synchronized Map<String, Object> received() {
    return Json.of("count", oneWayCount.get());
  }

  @Override
  public void receive(TransportClient client, ByteBuffer message, RpcResponseCallback callback) {
    String order = order(message);
    if (order.startsWith("!fail ")) {
      callback.onFailure(new IllegalStateException(order.substring(6)));
    } else if (order.equals("!close")) {
      client.getChannel().close();
    } else if (order.equals("!call")) {
      client.sendRpc(ByteBuffer.wrap("who?".getBytes(StandardCharsets.UTF_8)), callback);
    } else if (!order.equals("!never")) {
      callback.onSuccess(message);
    }
  }

  private static String order(ByteBuffer message) {
    boolean isOrder =
        message.remaining() > 0
            && message.remaining() <= LONGEST_ORDER
            && message.get(message.position()) == '!';
    return isOrder ? StandardCharsets.UTF_8.decode(message.duplicate()).toString() : "";
  }

  @Override
  public void receive(TransportClient client, ByteBuffer message) {
    oneWayCount.incrementAndGet();
    synchronized (this) {
      oneWays.add(message);
    }
  }

  @Override
  public StreamCallbackWithID receiveStream(
      TransportClient client, ByteBuffer header, RpcResponseCallback callback) {
    String meta = StandardCharsets.UTF_8.decode(header.duplicate()).toString();
    if (meta.equals("!refuse")) {
      throw new UnsupportedOperationException("uploads are refused");
    }
    Digest digest = new Digest();
    return new StreamCallbackWithID() {
      private ByteBuffer response = ByteBuffer.allocate(0);

      @Override
      public String getID() {
        return meta;
      }

      @Override
      public void onData(String id, ByteBuffer bytes) {
        digest.add(bytes);
      }

      @Override
      public void onComplete(String id) throws IOException {
        if (meta.equals("!fail")) {
          throw new IOException("the upload is not wanted after all");
        }
        Map<String, Object> report = digest.report();
        String text = report.get("len") + " " + report.get("sha256");
        response = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
      }

      @Override
      public void onFailure(String id, Throwable error) {}

      @Override
      public ByteBuffer getCompletionResponse() {
        return response;
      }
    };
  }

  @Override
  public StreamManager getStreamManager() {
    return content;
  }
}
