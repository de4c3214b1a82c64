// The system calls that a step may not make, or under conditions only, and their numbers: for profiles other than the
// default one and for steps with more capabilities. By the kernel's tables, as numbers.ts.
import { type CallNumbers, readNumbers } from './numbers.ts';

const x64 = `
  socket=41 clone=56 syslog=103 uselib=134 personality=135 ustat=136 sysfs=139 vhangup=153 pivot_root=155
  _sysctl=156 acct=163 settimeofday=164 mount=165 umount2=166 swapon=167 swapoff=168 reboot=169
  sethostname=170 setdomainname=171 iopl=172 ioperm=173 create_module=174 init_module=175
  delete_module=176 get_kernel_syms=177 query_module=178 quotactl=179 nfsservctl=180 getpmsg=181
  putpmsg=182 afs_syscall=183 tuxcall=184 security=185 lookup_dcookie=212 clock_settime=227 vserver=236
  mbind=237 set_mempolicy=238 get_mempolicy=239 kexec_load=246 add_key=248 request_key=249 keyctl=250
  migrate_pages=256 unshare=272 move_pages=279 perf_event_open=298 fanotify_init=300 open_by_handle_at=304
  setns=308 kcmp=312 finit_module=313 kexec_file_load=320 bpf=321 userfaultfd=323 io_uring_setup=425
  io_uring_enter=426 io_uring_register=427 open_tree=428 move_mount=429 fsopen=430 fsconfig=431
  fsmount=432 fspick=433 clone3=435 pidfd_getfd=438 process_madvise=440 mount_setattr=442 quotactl_fd=443
  set_mempolicy_home_node=450 lsm_get_self_attr=459 lsm_set_self_attr=460
  lsm_list_modules=461
`;

const i386 = `
  break=17 oldstat=18 mount=21 umount=22 stime=25 oldfstat=28 stty=31 gtty=32 nice=34 ftime=35 prof=44
  signal=48 acct=51 umount2=52 lock=53 mpx=56 ulimit=58 oldolduname=59 ustat=62 sigaction=67 sgetmask=68
  ssetmask=69 sigsuspend=72 sigpending=73 sethostname=74 settimeofday=79 oldlstat=84 uselib=86 swapon=87
  reboot=88 readdir=89 profil=98 ioperm=101 syslog=103 olduname=109 iopl=110 vhangup=111 idle=112
  vm86old=113 swapoff=115 clone=120 setdomainname=121 create_module=127 init_module=128 delete_module=129
  get_kernel_syms=130 quotactl=131 bdflush=134 sysfs=135 personality=136 afs_syscall=137 _sysctl=149
  vm86=166 query_module=167 nfsservctl=169 getpmsg=188 putpmsg=189 pivot_root=217 lookup_dcookie=253
  clock_settime=264 vserver=273 mbind=274 get_mempolicy=275 set_mempolicy=276 kexec_load=283 add_key=286
  request_key=287 keyctl=288 migrate_pages=294 unshare=310 move_pages=317 perf_event_open=336
  fanotify_init=338 open_by_handle_at=342 setns=346 kcmp=349 finit_module=350 bpf=357 socket=359
  userfaultfd=374 clock_settime64=404 io_uring_setup=425 io_uring_enter=426 io_uring_register=427
  open_tree=428 move_mount=429 fsopen=430 fsconfig=431 fsmount=432 fspick=433 clone3=435 pidfd_getfd=438
  process_madvise=440 mount_setattr=442 quotactl_fd=443 set_mempolicy_home_node=450 lsm_get_self_attr=459 lsm_set_self_attr=460
  lsm_list_modules=461
`;

const arm64 = `
  lookup_dcookie=18 umount2=39 mount=40 pivot_root=41 nfsservctl=42 vhangup=58 quotactl=60 acct=89
  personality=92 unshare=97 kexec_load=104 init_module=105 delete_module=106 clock_settime=112 syslog=116
  reboot=142 sethostname=161 setdomainname=162 settimeofday=170 socket=198 add_key=217 request_key=218
  keyctl=219 clone=220 swapon=224 swapoff=225 mbind=235 get_mempolicy=236 set_mempolicy=237
  migrate_pages=238 move_pages=239 perf_event_open=241 fanotify_init=262 open_by_handle_at=265 setns=268
  kcmp=272 finit_module=273 bpf=280 userfaultfd=282 kexec_file_load=294 io_uring_setup=425
  io_uring_enter=426 io_uring_register=427 open_tree=428 move_mount=429 fsopen=430 fsconfig=431
  fsmount=432 fspick=433 clone3=435 pidfd_getfd=438 process_madvise=440 mount_setattr=442 quotactl_fd=443
  set_mempolicy_home_node=450 lsm_get_self_attr=459 lsm_set_self_attr=460 lsm_list_modules=461
`;

/** Tables by name of the instruction set. */
export const otherCalls: Readonly<Record<'x64' | 'i386' | 'arm64', CallNumbers>> = {
  x64: readNumbers(x64),
  i386: readNumbers(i386),
  arm64: readNumbers(arm64),
};
