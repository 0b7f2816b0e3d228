package ringrail;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.HexFormat;
import scala.collection.immutable.Vector;
import scala.collection.immutable.VectorBuilder;

/**
 * Java's own serialisation, to check ours against it. The argument says what to do with the lines on
 * stdin, which hold streams in hex; each gets one line of answer.
 *
 * <ul>
 *   <li>{@code made}: no input; prints a name and a stream for each of many sorts of objects.
 *   <li>{@code vectors}: no input; prints first, end and stream of vectors of numbers as texts.
 *   <li>{@code again}: reads the object of each line and writes it again.
 *   <li>{@code same}: compares the objects of the two streams of each line.
 * </ul>
 */
public final class Streams {
  private Streams() {}

  /** An object with a field of each type, which refers to others. */
  public static final class Knot implements java.io.Serializable {
    private static final long serialVersionUID = 1;
    byte b;
    char c;
    double d;
    float f;
    int i;
    long j;
    short s;
    boolean z;
    Object left;
    Object right;
    String text;
  }

  public static void main(String[] args) throws Exception {
    if (args[0].equals("made")) {
      Made.print();
      return;
    }
    if (args[0].equals("vectors")) {
      vectors();
      return;
    }
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println(answer(args[0], line));
    }
  }

  private static void vectors() throws IOException {
    for (int end : new int[] {0, 1, 32, 33, 70, 1024, 1100, 40_000}) {
      VectorBuilder<String> builder = new VectorBuilder<>();
      for (int i = 0; i < end; i++) {
        builder.$plus$eq("" + i);
      }
      Vector<String> vector = builder.result();
      System.out.println("0 " + end + " " + hex(written(vector)));
      if (end > 40) {
        System.out.println("37 " + end + " " + hex(written(vector.drop(37))));
      }
    }
  }

  private static String answer(String what, String line) {
    try {
      if (what.equals("again")) {
        return hex(written(read(line)));
      }
      String[] two = line.split(" ");
      return Same.compare(read(two[0]), read(two[1]));
    } catch (Exception | StackOverflowError error) {
      return "failed: " + error;
    }
  }

  private static Object read(String hex) throws IOException, ClassNotFoundException {
    byte[] bytes = HexFormat.of().parseHex(hex);
    try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes))) {
      return in.readObject();
    }
  }

  static byte[] written(Object... objects) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      for (Object object : objects) {
        out.writeObject(object);
      }
    }
    return bytes.toByteArray();
  }

  static String hex(byte[] bytes) {
    return HexFormat.of().formatHex(bytes);
  }
}
