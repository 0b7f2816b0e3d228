package ringrail;

import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.deploy.LocalSparkCluster;
import org.apache.spark.scheduler.ExternalClusterManager;
import org.apache.spark.scheduler.SchedulerBackend;
import org.apache.spark.scheduler.TaskScheduler;
import org.apache.spark.scheduler.TaskSchedulerImpl;
import org.apache.spark.scheduler.cluster.StandaloneSchedulerBackend;
import org.apache.spark.storage.BlockManagerId;
import scala.Option;
import scala.collection.immutable.List;
import scala.collection.immutable.List$;

/**
 * The master {@code local-push-cluster}: two executors as of {@code local-cluster[2,1,1024]}, whose blocks
 * are pushed to the shuffle service of this host.
 *
 * <p>Spark itself names services to push to under YARN alone. Everything else about push-based
 * shuffle is Spark's own, once {@code spark.testing} lets it be turned on.
 */
public final class PushCluster implements ExternalClusterManager {
  private static final String MASTER = "local-push-cluster";

  @Override
  public boolean canCreate(String master) {
    return master.equals(MASTER);
  }

  @Override
  public TaskScheduler createTaskScheduler(SparkContext context, String master) {
    return new TaskSchedulerImpl(context);
  }

  @Override
  public SchedulerBackend createSchedulerBackend(
      SparkContext context, String master, TaskScheduler scheduler) {
    LocalSparkCluster cluster = LocalSparkCluster.apply(2, 1, 1024, context.conf());
    return new Backend((TaskSchedulerImpl) scheduler, context, cluster.start());
  }

  @Override
  public void initialize(TaskScheduler scheduler, SchedulerBackend backend) {
    ((TaskSchedulerImpl) scheduler).initialize(backend);
  }

  private static final class Backend extends StandaloneSchedulerBackend {
    private final SparkConf conf;

    Backend(TaskSchedulerImpl scheduler, SparkContext context, String[] masters) {
      super(scheduler, context, masters);
      this.conf = context.conf();
    }

    // An immutable sequence is what Scala 2.13 wants here, and a sequence, which 2.12 wants.
    @Override
    public List<BlockManagerId> getShufflePushMergerLocations(int partitions, int profile) {
      int port = conf.getInt("spark.shuffle.service.port", 7337);
      // Executors go by 127.0.0.1: from a service that seems to be on another host they read merged
      // blocks over the network, and not from its files.
      BlockManagerId service =
          BlockManagerId.apply("shuffle-push-merger", "localhost", port, Option.<String>empty());
      return List$.MODULE$.<BlockManagerId>empty().$colon$colon(service);
    }
  }
}
