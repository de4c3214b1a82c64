# Runs a program on a new terminal of COLUMNS x 24 (0: no size), types ctrl-C when WORDS are seen, prints what it
# wrote and, on a line of its own, how it ended: on-terminal.py COLUMNS WORDS program [argument...]
import fcntl, os, pty, select, signal, struct, sys, termios, time

columns, words, argv = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24 if columns else 0, columns, 0, 0))
    os.execvp(argv[0], argv)

written, typed, deadline = b'', False, time.monotonic() + 60
while time.monotonic() < deadline and len(written) < 1 << 20:
    if not select.select([terminal], [], [], 0.1)[0]:
        continue
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        chunk = b''
    if not chunk:
        break
    written += chunk
    if not typed and words in written:
        typed = bool(os.write(terminal, b'\x03'))
else:
    os.kill(pid, signal.SIGKILL)
sys.stdout.buffer.write(written)
print('\nended with', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
