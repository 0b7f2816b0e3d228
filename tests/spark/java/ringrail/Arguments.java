package ringrail;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.TreeMap;

/** The {@code key=value} words of a command. */
final class Arguments {
  private static final String CONF = "spark.";

  private final Map<String, String> values = new TreeMap<>();

  /** The first two words are the id and the command. */
  Arguments(String[] words) {
    for (int at = 2; at < words.length; at++) {
      int equals = words[at].indexOf('=');
      if (equals < 0) {
        throw new IllegalArgumentException(words[at] + " is not key=value");
      }
      values.put(words[at].substring(0, equals), decode(words[at].substring(equals + 1)));
    }
  }

  String get(String key) {
    String value = values.get(key);
    if (value == null) {
      throw new NoSuchElementException("no " + key + "=");
    }
    return value;
  }

  String get(String key, String otherwise) {
    return values.getOrDefault(key, otherwise);
  }

  boolean has(String key) {
    return values.containsKey(key);
  }

  long number(String key) {
    return Long.parseLong(get(key));
  }

  long number(String key, long otherwise) {
    return has(key) ? number(key) : otherwise;
  }

  int small(String key) {
    return Integer.parseInt(get(key));
  }

  int small(String key, int otherwise) {
    return has(key) ? small(key) : otherwise;
  }

  boolean flag(String key) {
    return Boolean.parseBoolean(get(key, "false"));
  }

  /** A comma-separated list; an empty value is an empty list. */
  String[] list(String key) {
    String value = get(key);
    return value.isEmpty() ? new String[0] : value.split(",", -1);
  }

  /** Spark's configuration: every key that begins with {@code spark.}. */
  Map<String, String> conf() {
    Map<String, String> conf = new TreeMap<>();
    values.forEach((key, value) -> {
      if (key.startsWith(CONF)) {
        conf.put(key, value);
      }
    });
    return conf;
  }

  private static String decode(String text) {
    byte[] raw = text.getBytes(StandardCharsets.UTF_8);
    byte[] out = new byte[raw.length];
    int length = 0;
    for (int at = 0; at < raw.length; at++) {
      if (raw[at] == '%') {
        out[length++] = (byte) Integer.parseInt(text.substring(at + 1, at + 3), 16);
        at += 2;
      } else {
        out[length++] = raw[at];
      }
    }
    return new String(out, 0, length, StandardCharsets.UTF_8);
  }
}
