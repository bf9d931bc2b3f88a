"""Denies somebody to read an attribute of everybody in a unit, or takes that back.

Before all other entries of each person's own list: what a class grants by default stands in
that list too, and comes before whatever is inherited."""

import sys

import ldb
import samba.auth
import samba.param
from samba.samdb import SamDB
from samba.sd_utils import SDUtils
from samba.dcerpc import misc, security
from samba.ndr import ndr_unpack

configuration, unit, reader, attribute, how = sys.argv[1:]

parameters = samba.param.LoadParm()
parameters.load(configuration)
database = SamDB(session_info=samba.auth.system_session(), lp=parameters)
domain = security.dom_sid(database.get_domain_sid())
descriptors = SDUtils(database)


def value(base, scope, expression, name):
    (found,) = database.search(base, scope, expression, [name])
    return found[name][0]


sid = ndr_unpack(
    security.dom_sid, value(reader, ldb.SCOPE_BASE, "(objectClass=*)", "objectSid")
)
guid = ndr_unpack(
    misc.GUID,
    value(
        database.get_schema_basedn(),
        ldb.SCOPE_ONELEVEL,
        "(lDAPDisplayName=%s)" % attribute,
        "schemaIDGUID",
    ),
)
denial = "(OD;;RP;%s;;%s)" % (guid, sid)
only_access = ["sd_flags:1:%d" % security.SECINFO_DACL]
for person in database.search(unit, ldb.SCOPE_SUBTREE, "(objectClass=user)", ["cn"]):
    access = descriptors.read_sd_on_dn(person.dn, only_access).as_sddl(domain)
    access = access.replace(denial, "")
    if how == "deny":
        access = access.replace("(", denial + "(", 1)
    descriptors.modify_sd_on_dn(person.dn, access, only_access)
