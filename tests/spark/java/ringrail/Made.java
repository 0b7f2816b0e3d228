package ringrail;

import java.io.ByteArrayOutputStream;
import java.io.Externalizable;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.io.Serializable;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/** Streams of every sort of object that Java can write. */
final class Made {
  private Made() {}

  static void print() throws IOException {
    Map<String, byte[]> made = new LinkedHashMap<>();
    values(made);
    arrays(made);
    classes(made);
    whole(made);
    made.forEach((name, stream) -> System.out.println(name + " " + Streams.hex(stream)));
  }

  private static void values(Map<String, byte[]> made) throws IOException {
    made.put("null", Streams.written((Object) null));
    made.put("text", Streams.written("\u0000a\u00e4\u20ac\ud83d\ude00\ud800"));
    made.put("longText", Streams.written("x".repeat(65535), "x".repeat(65536)));
    made.put("numbers", Streams.written(1, 2L, 3.5, 4.5f, (short) 5, (byte) 6, 'c', true));
    made.put("sameText", Streams.written("a", "a", new String("a")));
    Streams.Knot knot = new Streams.Knot();
    knot.left = knot;
    knot.right = new Object[] {knot, "text"};
    knot.d = Double.longBitsToDouble(0x7ff0000000000001L);
    made.put("cycle", Streams.written(knot));
    made.put("constantName", Streams.written("DAYS", TimeUnit.DAYS, "DAYS"));
    made.put("constant", Streams.written(TimeUnit.DAYS, TimeUnit.DAYS, Thread.State.NEW));
    made.put("date", Streams.written(new Date(0), new Date(0)));
    List<Object> list = new ArrayList<>(List.of(1, "b", new TreeMap<>(Map.of("k", "v"))));
    list.add(list);
    made.put("collections", Streams.written(list, new HashMap<>(Map.of("x", List.of()))));
    Exception cause = new IllegalStateException("cause");
    Exception thrown = new RuntimeException("thrown", cause);
    thrown.addSuppressed(new Error("suppressed"));
    made.put("exception", Streams.written(thrown));
  }

  private static void arrays(Map<String, byte[]> made) throws IOException {
    made.put("bytes", Streams.written(new byte[] {1, -1}, new byte[0]));
    made.put("chars", Streams.written(new char[] {'a', '\uffff'}));
    made.put("wide", Streams.written(new double[] {1.5, Double.NaN}, new long[] {-1}));
    made.put("ints", Streams.written(new int[] {1, 2}, new float[] {1}, new short[] {3}));
    made.put("flags", Streams.written(new boolean[] {true, false}));
    made.put("nested", Streams.written(new int[][] {{1}, null, {}}, new String[] {"a", null}));
    made.put("constants", Streams.written((Object) TimeUnit.values()));
  }

  private static void classes(Map<String, byte[]> made) throws IOException {
    made.put("class", Streams.written(String.class, int.class, int[].class, TimeUnit.class));
    made.put("plainClass", Streams.written(Thread.class, Runnable.class, void.class));
    made.put("descriptor", Streams.written(ObjectStreamClass.lookup(Streams.Knot.class)));
    made.put("external", Streams.written(new External(), new External()));
    made.put("blocks", Streams.written(new Blocks(3000)));
    made.put("empty", Streams.written(new Blocks(0)));
    Class<?>[] interfaces = {Runnable.class, Comparable.class};
    ClassLoader loader = Made.class.getClassLoader();
    made.put("proxy", Streams.written(Proxy.newProxyInstance(loader, interfaces, new Nothing())));
  }

  /** Streams with more than objects in them. */
  private static void whole(Map<String, byte[]> made) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject("before");
      out.writeInt(7);
      out.reset();
      out.writeObject("before");
      out.write(new byte[2000]);
    }
    made.put("reset", bytes.toByteArray());
    bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new Annotating(bytes)) {
      out.writeObject(new Object[] {new Streams.Knot(), TimeUnit.HOURS});
    }
    made.put("annotated", bytes.toByteArray());
    bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject("before");
      out.writeObject(new Object());
    } catch (NotSerializableException expected) {
      made.put("aborted", bytes.toByteArray());
    }
    bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(new Object[] {"before", new Object()});
    } catch (NotSerializableException expected) {
      made.put("abortedWithin", bytes.toByteArray());
    }
  }

  /** An object that writes itself. */
  public static final class External implements Externalizable {
    private static final long serialVersionUID = 2;

    public External() {}

    @Override
    public void writeExternal(ObjectOutput out) throws IOException {
      out.writeInt(1);
      out.writeObject("inside");
      out.writeUTF("utf");
    }

    @Override
    public void readExternal(ObjectInput in) throws IOException, ClassNotFoundException {
      in.readInt();
      in.readObject();
      in.readUTF();
    }
  }

  /** A class with data of its own, below one with data of its own. */
  static class Base implements Serializable {
    private static final long serialVersionUID = 3;
    private final int base = 4;

    private void writeObject(ObjectOutputStream out) throws IOException {
      out.defaultWriteObject();
      out.writeObject(List.of("base"));
    }
  }

  static final class Blocks extends Base {
    private static final long serialVersionUID = 4;
    private final transient int len;

    Blocks(int len) {
      this.len = len;
    }

    private void writeObject(ObjectOutputStream out) throws IOException {
      out.defaultWriteObject();
      out.write(new byte[len]);
      out.writeObject(this);
      out.writeLong(5);
    }
  }

  static final class Nothing implements InvocationHandler, Serializable {
    private static final long serialVersionUID = 5;

    @Override
    public Object invoke(Object proxy, Method method, Object[] args) {
      return null;
    }
  }

  /** Writes something behind each class, as RMI does. */
  static final class Annotating extends ObjectOutputStream {
    Annotating(ByteArrayOutputStream out) throws IOException {
      super(out);
    }

    @Override
    protected void annotateClass(Class<?> described) throws IOException {
      writeInt(9);
      writeObject("file:/" + described.getName());
    }
  }
}
