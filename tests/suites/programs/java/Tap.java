import java.util.HashSet;
import java.util.Set;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs JUnit 4 classes and prints TAP: one line for each test, behind a failed one its reason. */
public class Tap extends RunListener {
    private final Set<Description> notPassed = new HashSet<>();

    public static void main(String[] classes) throws Exception {
        JUnitCore core = new JUnitCore();
        core.addListener(new Tap());
        for (String name : classes) {
            core.run(Class.forName(name));
        }
        System.exit(0);
    }

    private static String name(Description test) {
        String type = test.getClassName();
        return type.substring(type.lastIndexOf('.') + 1) + "." + test.getMethodName();
    }

    @Override
    public void testFailure(Failure failure) {
        notPassed.add(failure.getDescription());
        System.out.println("not ok - " + name(failure.getDescription()));
        failure.getTrace().lines().filter(line -> line.contains("com.rabbitmq") || !line.startsWith("\t")).limit(16).forEach(line -> System.out.println("# " + line));
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
        notPassed.add(failure.getDescription());
        System.out.println("ok - " + name(failure.getDescription()) + " # SKIP");
    }

    @Override
    public void testIgnored(Description test) {
        System.out.println("ok - " + name(test) + " # SKIP");
    }

    @Override
    public void testFinished(Description test) {
        if (!notPassed.remove(test)) {
            System.out.println("ok - " + name(test));
        }
        System.out.flush();
    }
}
