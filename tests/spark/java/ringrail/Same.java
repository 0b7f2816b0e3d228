package ringrail;

import java.io.ObjectStreamClass;
import java.io.ObjectStreamField;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.util.HashSet;
import java.util.Objects;
import java.util.Set;
import scala.Enumeration;
import scala.collection.Iterable;
import scala.collection.Iterator;
import scala.collection.Map;

/**
 * Compares two objects of Spark's field by field, to their end. Sequences and maps are the same if their
 * elements are, of whatever class they are; exceptions if their class and message are.
 */
final class Same {
  /** The objects on the way, for some refer to themselves. */
  private final Set<Integer> open = new HashSet<>();

  private Same() {}

  /** {@code same}, or the path to the first difference. */
  static String compare(Object left, Object right) throws ReflectiveOperationException {
    String difference = new Same().difference(left, right);
    return difference == null ? "same" : difference;
  }

  private String difference(Object left, Object right) throws ReflectiveOperationException {
    if (left == right) {
      return null;
    }
    if (left == null || right == null) {
      return ": null and something";
    }
    if (left instanceof Map && right instanceof Map) {
      return entries((Map<?, ?>) left, (Map<?, ?>) right);
    }
    if (left instanceof Iterable && right instanceof Iterable) {
      return elements((Iterable<?>) left, (Iterable<?>) right);
    }
    if (left.getClass() != right.getClass()) {
      return ": " + left.getClass() + " and " + right.getClass();
    }
    if (left.getClass().isArray()) {
      return array(left, right);
    }
    if (left instanceof Enumeration.Value || left instanceof Throwable || isJdk(left)) {
      // Java's own values are equal by their methods; exceptions print class and message.
      boolean same = left instanceof Throwable
          ? left.toString().equals(right.toString())
          : left.equals(right);
      return same ? null : ": " + left + " and " + right;
    }
    return fields(left, right);
  }

  private static boolean isJdk(Object object) {
    return object.getClass().getName().startsWith("java.");
  }

  private String entries(Map<?, ?> left, Map<?, ?> right) throws ReflectiveOperationException {
    if (left.size() != right.size()) {
      return ": " + left.size() + " and " + right.size() + " entries";
    }
    Iterator<?> entries = left.iterator();
    while (entries.hasNext()) {
      scala.Tuple2<?, ?> entry = (scala.Tuple2<?, ?>) entries.next();
      Object other = value(right, entry._1());
      String difference = difference(entry._2(), other);
      if (difference != null) {
        return "[" + entry._1() + "]" + difference;
      }
    }
    return null;
  }

  /** The value of the key that is the same; not every class of keys has an equality of its own. */
  private Object value(Map<?, ?> map, Object key) throws ReflectiveOperationException {
    Iterator<?> entries = map.iterator();
    while (entries.hasNext()) {
      scala.Tuple2<?, ?> entry = (scala.Tuple2<?, ?>) entries.next();
      if (difference(key, entry._1()) == null) {
        return entry._2();
      }
    }
    return null;
  }

  private String elements(Iterable<?> left, Iterable<?> right) throws ReflectiveOperationException {
    if (left.size() != right.size()) {
      return ": " + left.size() + " and " + right.size() + " elements";
    }
    Iterator<?> others = right.iterator();
    Iterator<?> own = left.iterator();
    for (int i = 0; own.hasNext(); i++) {
      String difference = difference(own.next(), others.next());
      if (difference != null) {
        return "[" + i + "]" + difference;
      }
    }
    return null;
  }

  private String array(Object left, Object right) throws ReflectiveOperationException {
    if (Array.getLength(left) != Array.getLength(right)) {
      return ": arrays of different lengths";
    }
    for (int i = 0; i < Array.getLength(left); i++) {
      String difference = difference(Array.get(left, i), Array.get(right, i));
      if (difference != null) {
        return "[" + i + "]" + difference;
      }
    }
    return null;
  }

  private String fields(Object left, Object right) throws ReflectiveOperationException {
    if (!open.add(Objects.hash(System.identityHashCode(left), System.identityHashCode(right)))) {
      return null;
    }
    for (Class<?> of = left.getClass(); of != null; of = of.getSuperclass()) {
      ObjectStreamClass descriptor = ObjectStreamClass.lookup(of);
      if (descriptor == null) {
        continue;
      }
      for (ObjectStreamField described : descriptor.getFields()) {
        Field field = of.getDeclaredField(described.getName());
        field.setAccessible(true);
        String difference = difference(field.get(left), field.get(right));
        if (difference != null) {
          return "." + field.getName() + difference;
        }
      }
    }
    return null;
  }
}
