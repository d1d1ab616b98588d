package io.millstream.e2e;

/** Checks of what Apache Kafka's Java client sees: java -jar checks.jar CLIENT_PROPERTIES. */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 1) {
            System.err.println("usage: java -jar checks.jar CLIENT_PROPERTIES");
            System.exit(2);
        }
        Checks checks = new Checks();
        try (Clients clients = new Clients(arguments[0])) {
            new TopicChecks(clients).run(checks);
            new ProduceChecks(clients).run(checks);
            new ConsumeChecks(clients).run(checks);
            new GroupChecks(clients).run(checks);
            new ConfigChecks(clients).run(checks);
            new SecurityChecks(clients).run(checks);
        }
        System.out.println(checks.closingLine());
        System.exit(checks.allPassed() ? 0 : 1);
    }

    private Main() {}
}
