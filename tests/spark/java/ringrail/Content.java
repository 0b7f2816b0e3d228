package ringrail;

import java.io.File;
import java.nio.ByteBuffer;
import org.apache.spark.network.buffer.FileSegmentManagedBuffer;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.buffer.NioManagedBuffer;
import org.apache.spark.network.server.StreamManager;
import org.apache.spark.network.util.TransportConf;

/**
 * Chunks and streams of the pattern, from memory or from a file.
 *
 * <p>Chunk {@code (streamId, index)} is number {@code streamId + index} of the source; numbers wrap
 * around it. Stream {@code OFFSET/LENGTH} is that piece of the source, stream {@code empty} has no
 * bytes; there is no other.
 */
final class Content extends StreamManager {
  private final TransportConf conf;
  private final long chunkLength;
  private final long chunks;
  private final ByteBuffer memory;
  private final File file;

  Content(TransportConf conf, long sourceLength, long chunkLength, String file) {
    this.conf = conf;
    this.chunkLength = chunkLength;
    this.chunks = chunkLength == 0 ? 0 : sourceLength / chunkLength;
    this.file = file == null ? null : new File(file);
    // Off the heap, as Netty wants it: a heap buffer would be copied once more on its way out.
    this.memory = ByteBuffer.allocateDirect(file == null ? (int) sourceLength : 0);
    Pattern.fill(0, memory);
  }

  @Override
  public ManagedBuffer getChunk(long streamId, int index) {
    if (chunks == 0 || index < 0) {
      throw new IllegalArgumentException("no chunk " + index + " of stream " + streamId);
    }
    return piece(Long.remainderUnsigned(streamId + index, chunks) * chunkLength, chunkLength);
  }

  @Override
  public ManagedBuffer openStream(String name) {
    if (name.equals("empty")) {
      return new NioManagedBuffer(ByteBuffer.allocate(0));
    }
    String[] parts = name.split("/");
    if (parts.length != 2) {
      throw new IllegalArgumentException("there is no stream " + name);
    }
    return piece(Long.parseLong(parts[0]), Long.parseLong(parts[1]));
  }

  private ManagedBuffer piece(long offset, long length) {
    if (file != null) {
      return new FileSegmentManagedBuffer(conf, file, offset, length);
    }
    ByteBuffer piece = memory.duplicate();
    piece.position((int) offset).limit((int) (offset + length));
    return new NioManagedBuffer(piece.slice());
  }
}
