package ringrail;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The content of every payload: word {@code n} of a source (eight bytes, little-endian) is the
 * SplitMix64 hash of {@code n}, so that either side can check any byte without holding a copy.
 */
final class Pattern {
  private static final int SPOT = 16;

  private Pattern() {}

  static long word(long n) {
    long z = (n + 1) * 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  static byte at(long offset) {
    return (byte) (word(offset >>> 3) >>> (8 * (offset & 7)));
  }

  /** {@code length} bytes of the source from {@code offset} on. */
  static byte[] bytes(long offset, int length) {
    byte[] bytes = new byte[length];
    fill(offset, ByteBuffer.wrap(bytes));
    return bytes;
  }

  static void fill(long offset, ByteBuffer out) {
    out.order(ByteOrder.LITTLE_ENDIAN);
    while (out.hasRemaining()) {
      if ((offset & 7) == 0 && out.remaining() >= 8) {
        out.putLong(word(offset >>> 3));
        offset += 8;
      } else {
        out.put(at(offset++));
      }
    }
  }

  /** Whether start, end and one place between that moves with {@code salt} hold the pattern. */
  static boolean spotCheck(long offset, ByteBuffer bytes, long salt) {
    int length = bytes.remaining();
    if (length <= SPOT) {
      return matches(offset, bytes, 0, length);
    }
    int last = length - SPOT;
    int moving = (int) Long.remainderUnsigned(word(salt), last);
    return matches(offset, bytes, 0, SPOT)
        && matches(offset, bytes, moving, SPOT)
        && matches(offset, bytes, last, SPOT);
  }

  private static boolean matches(long offset, ByteBuffer bytes, int from, int length) {
    for (int at = from; at < from + length; at++) {
      if (bytes.get(bytes.position() + at) != at(offset + at)) {
        return false;
      }
    }
    return true;
  }
}
