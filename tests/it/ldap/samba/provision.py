"""Makes an Active Directory domain in a folder, with no more than that user's rights:
`samba-tool domain provision` would set access control lists that only root may set."""

import logging
import os
import sys

import samba.auth
import samba.param
from samba import dsdb
from samba.provision import provision

configuration, realm, workgroup, password = sys.argv[1:]

parameters = samba.param.LoadParm()
parameters.load(configuration)
for name in (
    "private dir",
    "state directory",
    "cache directory",
    "lock directory",
    "binddns dir",
):
    os.makedirs(parameters.get(name), exist_ok=True)
provision(
    logging.getLogger("provision"),
    samba.auth.system_session(),
    smbconf=configuration,
    lp=parameters,
    realm=realm,
    domain=workgroup,
    hostname="dc1",
    hostip="127.0.0.1",
    adminpass=password,
    serverrole="active directory domain controller",
    dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
    dns_backend="NONE",
    skip_sysvolacl=True,
)
