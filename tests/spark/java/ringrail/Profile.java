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
 * Prints the class descriptors of the classes that are named on standard input, as they are in the jars on
 * the class path, in the form of codec/src/java/profile.rs. Classes that do not exist there are left out.
 *
 * <pre>java -cp "JARS/*:CLASSES" ringrail.Profile NAME SCALA &lt; codec/src/spark/rpc/profiles/classes</pre>
 */
public final class Profile {
    private final Set<String> done = new TreeSet<>();

    public static void main(String[] arguments) throws IOException {
        System.out.println("name " + arguments[0]);
        System.out.println("scala " + arguments[1]);
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
        Class<?> above = descriptor.forClass().getSuperclass();
        ObjectStreamClass superClass = above == null ? null : ObjectStreamClass.lookup(above);
        if (descriptor.forClass().isArray()) {
            superClass = null;
        }
        System.out.printf("class %s %016x %02x%s%n", descriptor.getName(), descriptor.getSerialVersionUID(),
            flags(descriptor), superClass == null ? "" : " " + superClass.getName());
        for (ObjectStreamField field : descriptor.getFields()) {
            String type = field.getTypeString();
            System.out.printf("  %s %s%s%n", field.getTypeCode(), field.getName(), type == null ? "" : " " + type);
        }
        if (superClass != null) {
            print(superClass);
        }
    }

    /** The flags, which the class does not tell but writes. */
    private static int flags(ObjectStreamClass descriptor) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(descriptor);
        }
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes.toByteArray()));
        in.skipBytes(5);
        in.readUTF();
        in.readLong();
        return in.readUnsignedByte();
    }
}
