package ringrail;

import java.io.File;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import com.codahale.metrics.Counting;
import com.codahale.metrics.Gauge;
import com.codahale.metrics.Metric;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.ExternalShuffleService;
import org.apache.spark.network.shuffle.ExternalBlockHandler;
import org.apache.spark.network.shuffle.RemoteBlockPushResolver;
import org.apache.spark.network.util.TransportConf;

/**
 * Spark's own external shuffle service by command, and what its counters say. It is the reference
 * that tests are proven against and benchmarks compare with.
 */
final class Service {
  private final Map<String, ExternalShuffleService> services = new ConcurrentHashMap<>();

  void addTo(Lines lines) {
    lines.add("service", this::start);
    lines.add("service_stop", this::stop);
    lines.add("service_metrics", this::metrics);
  }

  /**
   * A service with the given {@code spark.*} configuration, which names its port. With
   * {@code merge=true} it merges pushed blocks, which Spark itself does under YARN alone.
   */
  private Map<String, Object> start(Arguments arguments) {
    SparkConf conf = new SparkConf(false);
    arguments.conf().forEach(conf::set);
    conf.set("spark.shuffle.service.enabled", "true");
    SecurityManager security =
        new SecurityManager(
            conf,
            SecurityManager.$lessinit$greater$default$2(),
            SecurityManager.$lessinit$greater$default$3());
    ExternalShuffleService service =
        arguments.flag("merge")
            ? new Merging(conf, security)
            : new ExternalShuffleService(conf, security);
    service.start();
    services.put(arguments.get("name"), service);
    return Json.of();
  }

  private Map<String, Object> stop(Arguments arguments) {
    services.remove(arguments.get("name")).stop();
    return Json.of();
  }

  private Map<String, Object> metrics(Arguments arguments) {
    Map<String, Object> values = Json.of();
    ExternalBlockHandler handler = services.get(arguments.get("name")).getBlockHandler();
    for (Map.Entry<String, Metric> entry : handler.getAllMetrics().getMetrics().entrySet()) {
      Metric metric = entry.getValue();
      if (metric instanceof Counting) {
        values.put(entry.getKey(), ((Counting) metric).getCount());
      } else if (metric instanceof Gauge) {
        values.put(entry.getKey(), ((Gauge<?>) metric).getValue());
      }
    }
    return values;
  }

  private static final class Merging extends ExternalShuffleService {
    Merging(SparkConf conf, SecurityManager security) {
      super(conf, security);
    }

    @Override
    public ExternalBlockHandler newShuffleBlockHandler(TransportConf conf) {
      try {
        return new ExternalBlockHandler(conf, (File) null, new RemoteBlockPushResolver(conf, null));
      } catch (java.io.IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
    }
  }
}
