#!/bin/sh
set -e
python3 - <<'P' || exit 1
import tarfile,io
t=tarfile.open('t.tar','w',format=tarfile.GNU_FORMAT)
def add(name,type=tarfile.REGTYPE,data=b'',mode=0o644,uid=0,gid=0,mtime=1500000000,link='',maj=0,min=0):
    i=tarfile.TarInfo(name); i.type=type; i.size=len(data); i.mode=mode; i.uid=uid; i.gid=gid; i.mtime=mtime; i.linkname=link; i.devmajor=maj; i.devminor=min
    t.addfile(i,io.BytesIO(data) if data else None)
add('./',tarfile.DIRTYPE,mode=0o711,uid=7)
add('e',tarfile.DIRTYPE,mode=0o1777)
add('late/file',data=b'x',mode=0o4755)
add('late',tarfile.DIRTYPE,mode=0o500,uid=9,gid=9,mtime=1)
add('fifo',tarfile.FIFOTYPE,mode=0o600)
add('dev',tarfile.CHRTYPE,maj=1,min=3,mode=0o666)
add('blk',tarfile.BLKTYPE,maj=7,min=0,mode=0o660)
add('big',data=b'y',uid=2000000,gid=3000000,mtime=4102444799)
add('zero-time',data=b'z',mtime=0)
add('hl',tarfile.LNKTYPE,link='late/file')
add('sl',tarfile.SYMTYPE,link='/etc/passwd')
add('sl2',tarfile.SYMTYPE,link='late')
add('sl2/through',data=b't')
add('deep/er/'+'n'*120,data=b'long')
add('f',data=b'first'); add('f',data=b'second',mode=0o600)
t.close()
P
