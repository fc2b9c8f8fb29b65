/* The infra process's program: it holds a pod's namespaces and does nothing but reap orphans and wait for its end.
 *
 * Started with a socket as descriptor 3, it first gives up all it has: it leaves the host's files for an empty root in
 * a mount namespace of its own, drops every right, and says over the socket what went wrong (a StartFailure as JSON),
 * or nothing. So a shim can start it by vfork, at a tenth of the price of its own clone.
 *
 * No C library and so no start-up code: one page of memory of its own, and nothing in it that a container it shares a
 * pid namespace with could use. SIGTERM and SIGINT end it; as the init of a pid namespace it would otherwise not get
 * them. x86-64 and arm64 Linux; see build.sh.
 */
#define SIGINT 2
#define SIGTERM 15
#define SIGCHLD 17
#define SIG_BLOCK 0
#define WNOHANG 1
#define EINVAL 22
#define BIT(sig) (1ul << ((sig) - 1))

#define REPORT 3 /* the socket's descriptor */
#define USER 65535 /* as Kubernetes' pause image: a container's root without CAP_SYS_PTRACE cannot look into it */

#define F_GETFD 1
#define CLONE_NEWNS 0x20000
#define MNT_DETACH 2
#define MS_RDONLY 1
#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_NOEXEC 8
#define MS_REC 0x4000
#define MS_PRIVATE (1 << 18)
#define PR_SET_DUMPABLE 4
#define PR_SET_NAME 15
#define PR_CAPBSET_DROP 24
#define PR_SET_NO_NEW_PRIVS 38
#define CAPABILITY_VERSION_3 0x20080522

#if defined(__x86_64__)
enum {
    NR_write = 1, NR_close = 3, NR_rt_sigprocmask = 14, NR_wait4 = 61, NR_fcntl = 72, NR_chdir = 80,
    NR_setsid = 112, NR_setgroups = 116, NR_setresuid = 117, NR_setresgid = 119, NR_capset = 126,
    NR_rt_sigtimedwait = 128, NR_pivot_root = 155, NR_prctl = 157, NR_mount = 165, NR_umount2 = 166,
    NR_exit_group = 231, NR_unshare = 272
};

static long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum {
    NR_fcntl = 25, NR_umount2 = 39, NR_mount = 40, NR_pivot_root = 41, NR_chdir = 49, NR_close = 57,
    NR_write = 64, NR_capset = 91, NR_exit_group = 94, NR_unshare = 97, NR_rt_sigprocmask = 135,
    NR_rt_sigtimedwait = 137, NR_setresuid = 147, NR_setresgid = 149, NR_setsid = 157, NR_setgroups = 159,
    NR_prctl = 167, NR_wait4 = 260
};

static long call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#else
#error "add the system call numbers of this architecture"
#endif

static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static char *append_number(char *to, long number)
{
    char digits[20];
    int count = 0;

    do
        digits[count++] = '0' + number % 10;
    while (number /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

/* Report a call that failed, and end. */
static void check(const char *stage, const char *what, long result)
{
    char message[256], *end = message;

    if (result >= 0)
        return;
    end = append(end, "{\"type\":\"failure\",\"stage\":\"");
    end = append(end, stage);
    end = append(end, "\",\"errno\":");
    end = append_number(end, -result);
    end = append(end, ",\"operand\":\"");
    end = append(end, what);
    end = append(end, "\",\"message\":\"infra process: ");
    end = append(end, what);
    end = append(end, ": error ");
    end = append_number(end, -result);
    end = append(end, "\"}");
    call(NR_write, REPORT, (long)message, end - message, 0, 0);
    call(NR_exit_group, 128, 0, 0, 0, 0);
}

/* An empty, read-only root in a mount namespace of its own; /proc is but the place it is put together at. */
static void enter_empty_root(void)
{
    const char *root = "rootfs";
    long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

    check(root, "unshare", call(NR_unshare, CLONE_NEWNS, 0, 0, 0, 0));
    check(root, "private mounts", call(NR_mount, 0, (long)"/", 0, MS_REC | MS_PRIVATE, 0));
    check(root, "empty root", call(NR_mount, (long)"infra", (long)"/proc", (long)"tmpfs", flags,
                                   (long)"size=4k,nr_inodes=2,mode=555"));
    check(root, "chdir", call(NR_chdir, (long)"/proc", 0, 0, 0, 0));
    check(root, "pivot_root", call(NR_pivot_root, (long)".", (long)".", 0, 0, 0));
    check(root, "umount", call(NR_umount2, (long)".", MNT_DETACH, 0, 0, 0));
    check(root, "chdir", call(NR_chdir, (long)"/", 0, 0, 0, 0));
}

static void give_up_rights(void)
{
    const char *rights = "capabilities";
    unsigned header[2] = {CAPABILITY_VERSION_3, 0}, none[6] = {0, 0, 0, 0, 0, 0};
    long capability, dropped = 0;

    check(rights, "no_new_privs", call(NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    for (capability = 0; dropped == 0; capability++)
        dropped = call(NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (dropped != -EINVAL) /* the end of the list */
        check(rights, "bounding set", dropped);
    check(rights, "setgroups", call(NR_setgroups, 0, 0, 0, 0, 0));
    check(rights, "setresgid", call(NR_setresgid, USER, USER, USER, 0, 0));
    check(rights, "setresuid", call(NR_setresuid, USER, USER, USER, 0, 0));
    check(rights, "capset", call(NR_capset, (long)header, (long)none, 0, 0, 0));
    check(rights, "dumpable", call(NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer)) /* the kernel leaves the stack otherwise than a caller would */
#endif
void _start(void)
{
    unsigned long signals = BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGCHLD);

    /* Executed by descriptor, it would be called by the descriptor's number. */
    call(NR_prctl, PR_SET_NAME, (long)"pause", 0, 0, 0);
    call(NR_rt_sigprocmask, SIG_BLOCK, (long)&signals, 0, sizeof signals, 0);
    if (call(NR_fcntl, REPORT, F_GETFD, 0, 0, 0) >= 0) {
        call(NR_setsid, 0, 0, 0, 0, 0);
        enter_empty_root();
        give_up_rights();
        call(NR_close, REPORT, 0, 0, 0, 0);
    }
    for (;;) {
        long got = call(NR_rt_sigtimedwait, (long)&signals, 0, 0, sizeof signals, 0);
        if (got == SIGTERM || got == SIGINT)
            call(NR_exit_group, 0, 0, 0, 0, 0);
        while (call(NR_wait4, -1, 0, WNOHANG, 0, 0) > 0)
            ;
    }
}
