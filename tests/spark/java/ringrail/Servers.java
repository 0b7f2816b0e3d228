package ringrail;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.server.TransportServer;
import org.apache.spark.network.util.TransportConf;

/** Spark's TransportServer by command. */
final class Servers {
  private final Map<String, TransportServer> servers = new ConcurrentHashMap<>();
  private final Map<String, Handler> handlers = new ConcurrentHashMap<>();

  void addTo(Lines lines) {
    lines.add("serve", this::serve);
    lines.add("stop", this::stop);
    lines.add("received", a -> handlers.get(a.get("name")).received());
  }

  /**
   * Serves echoes, and the pattern in chunks: {@code chunk_len=}, {@code source_len=},
   * {@code file=} if chunks are to come from a file. What requests mean is told at {@link Handler}.
   */
  private Map<String, Object> serve(Arguments arguments) {
    TransportConf conf = Secrets.conf(arguments);
    Content content =
        new Content(
            conf,
            arguments.number("source_len", 0),
            arguments.number("chunk_len", 0),
            arguments.get("file", null));
    Handler handler = new Handler(content);
    TransportServer server =
        new TransportContext(conf, handler)
            .createServer(
                arguments.get("host", "127.0.0.1"),
                arguments.small("port", 0),
                Secrets.ofServer(arguments, conf));
    servers.put(arguments.get("name"), server);
    handlers.put(arguments.get("name"), handler);
    return Json.of("port", server.getPort());
  }

  private Map<String, Object> stop(Arguments arguments) {
    servers.remove(arguments.get("name")).close();
    return Json.of();
  }
}
