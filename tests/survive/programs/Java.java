/* What java_threads runs; it is ready for a move, and knows of one, as in moved.sh. */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

public class Java {
	static final int THREADS = 4, KEYS = 20000;
	static final AtomicLong ticks = new AtomicLong(), echoes = new AtomicLong();
	static final AtomicLong[] rounds = new AtomicLong[THREADS];
	static final ReentrantLock lock = new ReentrantLock();
	static volatile Throwable failure;
	static volatile boolean stopping;
	static long shared; /* under the lock */
	static int moves;

	interface Work {
		void run() throws Exception;
	}

	static void check(boolean holds, String what) {
		if (!holds)
			throw new IllegalStateException("moves: " + moves + ": does not hold: " + what);
	}

	static Thread start(String name, Work work) {
		Thread thread = new Thread(() -> {
			try {
				work.run();
			} catch (Throwable why) {
				failure = why;
			}
		}, name);
		thread.setDaemon(true);
		thread.start();
		return thread;
	}

	/* Fills a map with new objects, which the collector takes away again, and sums up what is in it. */
	static void compute(int number) {
		Map<Integer, String> map = new HashMap<>();
		while (!stopping) {
			for (int i = 0; i < KEYS; i++)
				map.put(i, Integer.toString(i + number));
			long sum = 0;
			for (String text : map.values())
				sum += Integer.parseInt(text);
			check(sum == (long)KEYS * (KEYS - 1) / 2 + (long)KEYS * number, "a sum of " + number);
			lock.lock();
			shared++;
			lock.unlock();
			rounds[number].incrementAndGet();
		}
	}

	static void serve(ServerSocket server) throws IOException {
		try (Socket socket = server.accept();
		     BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()))) {
			for (String line; (line = in.readLine()) != null;)
				socket.getOutputStream().write((line.toUpperCase() + "\n").getBytes());
		}
	}

	static void ask(Socket socket) throws Exception {
		BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
		while (!stopping) {
			String line = "line " + echoes.get();
			socket.getOutputStream().write((line + "\n").getBytes());
			check(line.toUpperCase().equals(in.readLine()), "the echo of " + line);
			echoes.incrementAndGet();
			Thread.sleep(1);
		}
	}

	/* A record is its place; all of them are read again. */
	static void writeAndRead(RandomAccessFile file) throws IOException {
		file.seek(file.length());
		for (int i = 0; i < 100; i++)
			file.writeLong(file.getFilePointer());
		file.seek(0);
		for (long at = 0; at < file.length(); at += Long.BYTES)
			check(file.readLong() == at, "the file at " + at);
	}

	static boolean moved() throws Exception {
		if (moves == Integer.parseInt(System.getenv("SURVIVE_MOVES")))
			return false;
		Files.writeString(Path.of("/data/stage/java_threads.ready"), (moves + 1) + "\n");
		while (Integer.parseInt(Files.readString(Path.of("/data/stage/moves")).trim()) <= moves)
			Thread.sleep(50);
		moves++;
		return true;
	}

	static long collections() {
		long count = 0;
		for (var collector : java.lang.management.ManagementFactory.getGarbageCollectorMXBeans())
			count += collector.getCollectionCount();
		return count;
	}

	static long[] counts() {
		long[] counts = new long[THREADS + 3];
		for (int i = 0; i < THREADS; i++)
			counts[i] = rounds[i].get();
		counts[THREADS] = ticks.get();
		counts[THREADS + 1] = echoes.get();
		counts[THREADS + 2] = collections();
		return counts;
	}

	static boolean allHaveGrown(long[] before) {
		long[] now = counts();
		for (int i = 0; i < now.length; i++)
			if (now[i] <= before[i])
				return false;
		return true;
	}

	static void checkAllGoOn() throws Exception {
		long[] before = counts();
		long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
		while (!allHaveGrown(before) && failure == null && System.nanoTime() < deadline)
			Thread.sleep(10);
		if (failure != null)
			throw new IllegalStateException("moves: " + moves, failure);
		check(allHaveGrown(before), "threads, timer, socket and collector go on");
	}

	public static void main(String[] arguments) throws Exception {
		ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
		start("server", () -> serve(server));
		Socket socket = new Socket(server.getInetAddress(), server.getLocalPort());
		start("client", () -> ask(socket));
		Thread[] workers = new Thread[THREADS];
		for (int i = 0; i < THREADS; i++) {
			int number = i;
			rounds[i] = new AtomicLong();
			workers[i] = start("worker " + i, () -> compute(number));
		}
		ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
		timer.scheduleAtFixedRate(ticks::incrementAndGet, 10, 10, TimeUnit.MILLISECONDS);
		try (RandomAccessFile file = new RandomAccessFile("records", "rw")) {
			do {
				checkAllGoOn();
				writeAndRead(file);
			} while (moved());
		}
		stopping = true;
		long all = 0;
		for (int i = 0; i < THREADS; i++) {
			workers[i].join();
			all += rounds[i].get();
		}
		timer.shutdown();
		check(timer.awaitTermination(10, TimeUnit.SECONDS), "the timer ends");
		check(all == shared && failure == null, "what the threads have counted");
		System.out.println("OK");
	}
}
