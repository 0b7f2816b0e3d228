package ringrail;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.buffer.NioManagedBuffer;
import org.apache.spark.network.shuffle.BlockFetchingListener;
import org.apache.spark.network.shuffle.BlockPushingListener;
import org.apache.spark.network.shuffle.DownloadFile;
import org.apache.spark.network.shuffle.DownloadFileManager;
import org.apache.spark.network.shuffle.ExternalBlockStoreClient;
import org.apache.spark.network.shuffle.MergeFinalizerListener;
import org.apache.spark.network.shuffle.MergedBlockMeta;
import org.apache.spark.network.shuffle.MergedBlocksMetaListener;
import org.apache.spark.network.shuffle.SimpleDownloadFile;
import org.apache.spark.network.shuffle.protocol.ExecutorShuffleInfo;
import org.apache.spark.network.shuffle.protocol.MergeStatuses;
import org.apache.spark.network.util.TransportConf;

/** Spark's ExternalBlockStoreClient by command: what an executor says to a shuffle service. */
final class Blocks {
  private static final long PATIENCE_S = 60;

  /** A client and the service that it talks to. */
  private static final class Target {
    final ExternalBlockStoreClient client;
    final TransportConf conf;
    final String host;
    final int port;

    Target(Arguments arguments) {
      conf = Secrets.conf(arguments);
      host = arguments.get("host", "127.0.0.1");
      port = arguments.small("port");
      client =
          new ExternalBlockStoreClient(
              conf, Secrets.holder(arguments), arguments.has("secret"), 5000);
      client.init(arguments.get("app"));
      client.setAppAttemptId(arguments.get("attempt", "-1"));
    }
  }

  private final Map<String, Target> targets = new ConcurrentHashMap<>();

  void addTo(Lines lines) {
    lines.add("blocks", this::open);
    lines.add("blocks_close", this::close);
    lines.add("register", this::register);
    lines.add("fetch", this::fetch);
    lines.add("host_local_dirs", this::hostLocalDirs);
    lines.add("remove", this::remove);
    lines.add("diagnose", this::diagnose);
    lines.add("push", this::push);
    lines.add("finalize", this::finalizeMerge);
    lines.add("merged", this::merged);
    lines.add("remove_merge", this::removeMerge);
  }

  private Map<String, Object> open(Arguments arguments) {
    targets.put(arguments.get("name"), new Target(arguments));
    return Json.of();
  }

  private Map<String, Object> close(Arguments arguments) {
    targets.remove(arguments.get("name")).client.close();
    return Json.of();
  }

  private Target target(Arguments arguments) {
    return targets.get(arguments.get("name"));
  }

  private Map<String, Object> register(Arguments arguments) throws Exception {
    Target target = target(arguments);
    ExecutorShuffleInfo info =
        new ExecutorShuffleInfo(
            arguments.list("dirs"), arguments.small("sub_dirs"), arguments.get("manager"));
    target.client.registerWithShuffleServer(
        target.host, target.port, arguments.get("exec"), info);
    return Json.of();
  }

  /**
   * Fetches {@code ids=} as one batch; with {@code to_disk=DIR} blocks above Spark's limit go to a
   * file. Answers with what arrived and what failed, by block.
   */
  private Map<String, Object> fetch(Arguments arguments) throws Exception {
    Target target = target(arguments);
    String[] ids = arguments.list("ids");
    DownloadFileManager files =
        arguments.has("to_disk") ? new TemporaryFiles(new File(arguments.get("to_disk"))) : null;
    Fetched fetched = new Fetched(ids.length);
    target.client.fetchBlocks(
        target.host, target.port, arguments.get("exec"), ids, fetched, files);
    boolean all = fetched.left.await(PATIENCE_S, TimeUnit.SECONDS);
    return Json.of("all", all, "blocks", fetched.blocks, "failed", fetched.failed);
  }

  private static final class Fetched implements BlockFetchingListener {
    final Map<String, Object> blocks = new ConcurrentSkipListMap<>();
    final Map<String, Object> failed = new ConcurrentSkipListMap<>();
    final CountDownLatch left;

    Fetched(int count) {
      left = new CountDownLatch(count);
    }

    @Override
    public void onBlockFetchSuccess(String id, ManagedBuffer data) {
      try {
        Map<String, Object> report = Digest.of(data.nioByteBuffer()).report();
        report.put("buffer", data.getClass().getSimpleName());
        blocks.put(id, report);
      } catch (IOException error) {
        failed.put(id, Json.text(error));
      }
      left.countDown();
    }

    @Override
    public void onBlockFetchFailure(String id, Throwable error) {
      failed.put(id, Json.text(error));
      left.countDown();
    }
  }

  /** Temporary files for big blocks. */
  private static final class TemporaryFiles implements DownloadFileManager {
    private final File dir;

    TemporaryFiles(File dir) {
      this.dir = dir;
    }

    @Override
    public DownloadFile createTempFile(TransportConf conf) {
      try {
        return new SimpleDownloadFile(Files.createTempFile(dir.toPath(), "block", "").toFile(), conf);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    @Override
    public boolean registerTempFileToClean(DownloadFile file) {
      return false;
    }
  }

  private Map<String, Object> hostLocalDirs(Arguments arguments) throws Exception {
    Target target = target(arguments);
    CompletableFuture<Map<String, String[]>> dirs = new CompletableFuture<>();
    target.client.getHostLocalDirs(target.host, target.port, arguments.list("execs"), dirs);
    return Json.of("dirs", dirs.get(PATIENCE_S, TimeUnit.SECONDS));
  }

  private Map<String, Object> remove(Arguments arguments) throws Exception {
    Target target = target(arguments);
    int removed =
        target
            .client
            .removeBlocks(
                target.host, target.port, arguments.get("exec"), arguments.list("ids"))
            .get(PATIENCE_S, TimeUnit.SECONDS);
    return Json.of("removed", removed);
  }

  private Map<String, Object> diagnose(Arguments arguments) {
    Target target = target(arguments);
    return Json.of(
        "cause",
        target.client.diagnoseCorruption(
            target.host,
            target.port,
            arguments.get("exec"),
            arguments.small("shuffle"),
            arguments.number("map"),
            arguments.small("reduce"),
            arguments.number("checksum"),
            arguments.get("algorithm")));
  }

  /** Pushes {@code ids=}, each {@code size=} bytes of the pattern from its place in the list on. */
  private Map<String, Object> push(Arguments arguments) throws Exception {
    Target target = target(arguments);
    String[] ids = arguments.list("ids");
    ManagedBuffer[] data = new ManagedBuffer[ids.length];
    for (int at = 0; at < ids.length; at++) {
      data[at] = new NioManagedBuffer(ByteBuffer.wrap(Pattern.bytes(at, arguments.small("size"))));
    }
    Map<String, Object> failed = new ConcurrentSkipListMap<>();
    List<String> pushed = java.util.Collections.synchronizedList(new ArrayList<>());
    CountDownLatch left = new CountDownLatch(ids.length);
    target.client.pushBlocks(
        target.host,
        target.port,
        ids,
        data,
        new BlockPushingListener() {
          @Override
          public void onBlockPushSuccess(String id, ManagedBuffer buffer) {
            pushed.add(id);
            left.countDown();
          }

          @Override
          public void onBlockPushFailure(String id, Throwable error) {
            failed.put(id, Json.text(error));
            left.countDown();
          }
        });
    boolean all = left.await(PATIENCE_S, TimeUnit.SECONDS);
    return Json.of("all", all, "pushed", pushed, "failed", failed);
  }

  private Map<String, Object> finalizeMerge(Arguments arguments) throws Exception {
    Target target = target(arguments);
    CompletableFuture<Map<String, Object>> answer = new CompletableFuture<>();
    target.client.finalizeShuffleMerge(
        target.host,
        target.port,
        arguments.small("shuffle"),
        arguments.small("merge"),
        new MergeFinalizerListener() {
          @Override
          public void onShuffleMergeSuccess(MergeStatuses statuses) {
            answer.complete(describe(statuses));
          }

          @Override
          public void onShuffleMergeFailure(Throwable error) {
            answer.completeExceptionally(error);
          }
        });
    return answer.get(PATIENCE_S, TimeUnit.SECONDS);
  }

  private static Map<String, Object> describe(MergeStatuses statuses) {
    List<Object> partitions = new ArrayList<>();
    for (int at = 0; at < statuses.reduceIds.length; at++) {
      partitions.add(
          Json.of(
              "reduce", statuses.reduceIds[at],
              "size", statuses.sizes[at],
              "maps", statuses.bitmaps[at]));
    }
    return Json.of(
        "shuffle", statuses.shuffleId, "merge", statuses.shuffleMergeId, "partitions", partitions);
  }

  private Map<String, Object> merged(Arguments arguments) throws Exception {
    Target target = target(arguments);
    CompletableFuture<Map<String, Object>> answer = new CompletableFuture<>();
    target.client.getMergedBlockMeta(
        target.host,
        target.port,
        arguments.small("shuffle"),
        arguments.small("merge"),
        arguments.small("reduce"),
        new MergedBlocksMetaListener() {
          @Override
          public void onSuccess(int shuffle, int merge, int reduce, MergedBlockMeta meta) {
            try {
              answer.complete(
                  Json.of("chunks", meta.getNumChunks(), "maps", meta.readChunkBitmaps()));
            } catch (Throwable error) {
              answer.completeExceptionally(error);
            }
          }

          @Override
          public void onFailure(int shuffle, int merge, int reduce, Throwable error) {
            answer.completeExceptionally(error);
          }
        });
    return answer.get(PATIENCE_S, TimeUnit.SECONDS);
  }

  private Map<String, Object> removeMerge(Arguments arguments) {
    Target target = target(arguments);
    boolean asked =
        target.client.removeShuffleMerge(
            target.host, target.port, arguments.small("shuffle"), arguments.small("merge"));
    return Json.of("asked", asked);
  }
}
