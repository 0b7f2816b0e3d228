package ringrail;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.io.ObjectStreamField;
import java.util.Set;
import java.util.TreeSet;

/**
 * Prints the class descriptors of the classes that are named on stdin, as they are in the jars on the
 * class path, in the form that codec/src/java/profile.rs reads. Classes that do not exist there are
 * left out.
 *
 * <pre>java -cp "JARS/*:CLASSES" ringrail.Profile NAME SCALA &lt; codec/src/spark/rpc/profiles/classes</pre>
 */
public final class Profile {
  private final Set<String> done = new TreeSet<>();

  private Profile() {}

  public static void main(String[] args) throws IOException {
    System.out.println("name " + args[0]);
    System.out.println("scala " + args[1]);
    Profile profile = new Profile();
    BufferedReader names = new BufferedReader(new InputStreamReader(System.in));
    for (String name = names.readLine(); name != null; name = names.readLine()) {
      if (!name.isBlank() && !name.startsWith("#")) {
        profile.named(name.strip());
      }
    }
  }

  private void named(String name) throws IOException {
    ObjectStreamClass descriptor;
    try {
      Class<?> found = Class.forName(name, false, Profile.class.getClassLoader());
      descriptor = ObjectStreamClass.lookup(found);
    } catch (ClassNotFoundException | NoClassDefFoundError missing) {
      return;
    }
    if (descriptor != null) {
      print(descriptor);
    }
  }

  private void print(ObjectStreamClass descriptor) throws IOException {
    if (!done.add(descriptor.getName())) {
      return;
    }
    Class<?> of = descriptor.forClass();
    boolean alone = of.isArray() || of.getSuperclass() == null;
    ObjectStreamClass above = alone ? null : ObjectStreamClass.lookup(of.getSuperclass());
    String parent = above == null ? "" : " " + above.getName();
    long suid = descriptor.getSerialVersionUID();
    int flags = flags(descriptor);
    System.out.printf("class %s %016x %02x%s%n", descriptor.getName(), suid, flags, parent);
    for (ObjectStreamField field : descriptor.getFields()) {
      String type = field.getTypeString() == null ? "" : " " + field.getTypeString();
      System.out.printf("  %s %s%s%n", field.getTypeCode(), field.getName(), type);
    }
    if (above != null) {
      print(above);
    }
  }

  /** The flags, which the descriptor does not tell but writes. */
  private static int flags(ObjectStreamClass descriptor) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(descriptor);
    }
    DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes.toByteArray()));
    // Magic number, version and type code; then name, serialVersionUID and flags.
    in.skipBytes(5);
    in.readUTF();
    in.readLong();
    return in.readUnsignedByte();
  }
}
