/* The infra process's program: it holds a pod's namespaces and does nothing but reap orphans and wait for its end.
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
#define PR_SET_NAME 15
#define BIT(sig) (1ul << ((sig) - 1))

#if defined(__x86_64__)
enum { NR_rt_sigprocmask = 14, NR_wait4 = 61, NR_rt_sigtimedwait = 128, NR_prctl = 157, NR_exit_group = 231 };

static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { NR_exit_group = 94, NR_rt_sigprocmask = 135, NR_rt_sigtimedwait = 137, NR_prctl = 167, NR_wait4 = 260 };

static long call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "add the five system call numbers of this architecture"
#endif

void _start(void)
{
    unsigned long signals = BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGCHLD);

    /* Executed by descriptor, it would be called by the descriptor's number. */
    call(NR_prctl, PR_SET_NAME, (long)"pause", 0, 0);
    call(NR_rt_sigprocmask, SIG_BLOCK, (long)&signals, 0, sizeof signals);
    for (;;) {
        long got = call(NR_rt_sigtimedwait, (long)&signals, 0, 0, sizeof signals);
        if (got == SIGTERM || got == SIGINT)
            call(NR_exit_group, 0, 0, 0, 0);
        while (call(NR_wait4, -1, 0, WNOHANG, 0) > 0)
            ;
    }
}
