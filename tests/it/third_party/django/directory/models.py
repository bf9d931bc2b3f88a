"""People and groups as the README of django-scim2 has them."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django_scim.models import AbstractSCIMGroupMixin, AbstractSCIMUserMixin


class Group(AbstractSCIMGroupMixin):
    name = models.CharField(max_length=80, unique=True)


class User(AbstractSCIMUserMixin, AbstractUser):
    groups = None
    user_permissions = None
    scim_groups = models.ManyToManyField(Group, related_name="user_set")
