package ringrail;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;

/** Length and SHA-256 of what arrived; short content is shown as well. */
final class Digest {
  private static final int SHOWN = 256;

  private final MessageDigest sha = sha256();
  private final ByteBuffer start = ByteBuffer.allocate(SHOWN);
  private long length;

  static Digest of(ByteBuffer bytes) {
    Digest digest = new Digest();
    digest.add(bytes);
    return digest;
  }

  void add(ByteBuffer bytes) {
    length += bytes.remaining();
    ByteBuffer shown = bytes.duplicate();
    shown.limit(shown.position() + Math.min(shown.remaining(), start.remaining()));
    start.put(shown);
    sha.update(bytes);
  }

  Map<String, Object> report() {
    Map<String, Object> report = Json.of("len", length, "sha256", hex(sha.digest()));
    if (length <= SHOWN) {
      report.put("hex", hex(java.util.Arrays.copyOf(start.array(), start.position())));
    }
    return report;
  }

  static String hex(byte[] bytes) {
    StringBuilder out = new StringBuilder();
    for (byte b : bytes) {
      out.append(String.format("%02x", b));
    }
    return out.toString();
  }

  static byte[] unhex(String text) {
    byte[] bytes = new byte[text.length() / 2];
    for (int at = 0; at < bytes.length; at++) {
      bytes[at] = (byte) Integer.parseInt(text.substring(2 * at, 2 * at + 2), 16);
    }
    return bytes;
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
